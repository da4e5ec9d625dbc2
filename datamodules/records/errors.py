"""Errors of data: one sample cannot be used, or the settings do not fit the data."""


class BadSampleError(Exception):
    """A sample cannot be used; the message gives the reason in a few words."""


class MisfitError(ValueError):
    """Data and settings are incompatible. No single sample is at fault, so the run stops."""
