"""The space of a sweep: values of keys, their conditions, how a config describes them."""
