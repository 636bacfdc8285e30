"""Inputs from the web: which hosts may be asked, and how a file comes from one."""
