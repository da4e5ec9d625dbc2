"""What is raised about data: one sample cannot be used, or the settings do not fit the data."""


class BadSampleError(Exception):
    """A sample cannot be used; the text says why, in a few words."""


class MisfitError(ValueError):
    """Data and settings do not go together: no fault of one sample, and so the run ends."""
