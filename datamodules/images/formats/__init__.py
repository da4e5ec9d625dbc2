"""What image files hold, and whether they are whole."""
