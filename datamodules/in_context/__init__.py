"""In-context classification tasks: demonstrations and a question, made of labelled rows."""
