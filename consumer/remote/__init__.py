"""Inputs from the web: which hosts may be asked, and how a file comes from one.

`fetch` follows redirects; before each, `hop` asks `addresses` whether that host may be connected
to. `body` bounds what comes, `sniff` refuses what is not media, and `download`, which the store
uses too, writes it to disk and resumes it. Nothing here knows S3 or holds a credential.
"""
