"""What vendors speak: a folder for each protocol, pure; no protocol imports another."""
