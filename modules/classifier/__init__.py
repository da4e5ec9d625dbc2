"""Text classifiers: network, calibration, evaluation."""
