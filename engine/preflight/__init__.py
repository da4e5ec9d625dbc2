"""What cannot work, refused before anything is built."""
