"""Looking into the JSON of a figure."""


def trace(figure, name):
    return next(trace for trace in figure["data"] if trace["name"] == name)
