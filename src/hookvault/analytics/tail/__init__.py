"""The live tail: recorded calls as they are committed, by whichever process."""
