"""Sources that give the documents of another source: some of them, or in another form."""
