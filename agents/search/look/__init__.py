"""The look at a model before a search: what each layer loses alone, and inside a model that is cut already."""
