"""Forms of one weight matrix (dense, low rank, in few bits), one file per form and one row of `forms.FORMS` each."""
