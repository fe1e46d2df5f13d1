"""Forms of one weight matrix (dense, low rank), one file per form and one row of `forms.FORMS` each."""
