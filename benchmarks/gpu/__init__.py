"""Every claim that needs an accelerator, in one run of limited time."""
