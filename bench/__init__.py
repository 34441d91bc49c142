"""Each claim of speed is a ratio measured in one run, by a program that is kept here, with its result beside it."""
