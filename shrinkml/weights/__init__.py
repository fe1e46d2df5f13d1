"""Forms of one weight matrix (dense, low rank, few bits, zeros): one file and one row of `forms.FORMS` each."""
