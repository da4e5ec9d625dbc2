"""Models at an endpoint that are asked the questions of a language model of ours."""
