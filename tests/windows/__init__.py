"""A brute-force oracle for windows and freezes, and a program that compares it with them."""
