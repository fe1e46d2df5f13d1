"""The OpenAPI description as a page for people: plain HTML, nothing to load."""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
  body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; font: 1rem/1.5 system-ui, sans-serif; }
  table { border-collapse: collapse; width: 100%; }
  td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
  h2 { margin-top: 2.5rem; } code { white-space: nowrap; } pre { overflow-x: auto; }
</style>
</head>
<body>
<h1>{{ title }} {{ version }}</h1>
<p>{{ description }} <a href="/openapi.json">openapi.json</a> is the same for programs.</p>
{% for operation in operations %}
<h2 id="{{ operation.id }}"><code>{{ operation.method }} {{ operation.path }}</code></h2>
<p>{{ operation.words }}</p>
<table>
{% for field in operation.fields %}
<tr><td><code>{{ field.name }}</code></td><td>{{ field.kind }}</td><td>{{ field.words }}</td></tr>
{% endfor %}
<tr><td colspan="3">Answers: {{ operation.answers }}</td></tr>
</table>
{% endfor %}
{% for record in records %}
<h2 id="{{ record.name }}">{{ record.name }}</h2>
<p>{{ record.words }}</p>
<table>
{% for field in record.fields %}
<tr><td><code>{{ field.name }}</code></td><td>{{ field.kind }}</td><td>{{ field.words }}</td></tr>
{% endfor %}
</table>
{% for example in record.examples %}
<pre>{{ example }}</pre>
{% endfor %}
{% endfor %}
</body>
</html>
"""
METHODS = ("get", "post", "put", "patch", "delete")


def described(schema: Mapping[str, Any]) -> str:
    """Return the page of the OpenAPI document `schema`: every operation, every field of every record, with examples."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    operations = [
        _operation(method.upper(), path, found)
        for path, methods in schema["paths"].items()
        for method, found in methods.items()
        if method in METHODS
    ]
    records = [
        {
            "name": name,
            "words": found.get("description", ""),
            "fields": _fields(found.get("properties", {})),
            "examples": [json.dumps(example, indent=2) for example in found.get("examples", ())],
        }
        for name, found in schema["components"]["schemas"].items()
    ]
    page = environment.from_string(PAGE)
    return page.render(**schema["info"], operations=operations, records=records)


def _operation(method: str, path: str, found: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {
        it["name"]: {"description": it.get("description", ""), **it["schema"]} for it in found.get("parameters", ())
    }
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": found["operationId"],
        "method": method,
        "path": path,
        "words": found.get("description") or found["summary"],
        "fields": [*_fields(parameters), *_fields({"(body)": body} if body else {})],
        "answers": ", ".join(f"{status} {answer['description']}" for status, answer in found["responses"].items()),
    }


def _fields(properties: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {"name": name, "kind": _kind(schema), "words": schema.get("description", "") + _default(schema)}
        for name, schema in properties.items()
    ]


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("const", schema.get("type", "anything")))


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None or isinstance(default, dict) else f" Default: {default}."
