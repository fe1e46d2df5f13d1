"""Forms of one weight matrix (dense or narrower, low rank, few bits, zeros): one file and one row of FORMS each."""
