"""The executables: one file each, and what they share."""
