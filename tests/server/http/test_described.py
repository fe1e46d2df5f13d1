import re

from server.http.described import described


def test_the_page_shows_every_operation_and_every_field_and_loads_nothing(http):
    schema = http.get("/openapi.json").json()
    response = http.get("/docs")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for path, operations in schema["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in response.text
    for name, record in schema["components"]["schemas"].items():
        assert f'id="{name}"' in response.text
        assert all(f"<code>{field}</code>" in response.text for field in record.get("properties", {}))
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", response.text)


def test_words_of_the_description_are_text_and_no_markup():
    schema = {
        "info": {"title": "<b>", "version": "1", "description": "&"},
        "paths": {},
        "components": {
            "schemas": {"A": {"properties": {"f": {"enum": ["<i>"], "default": "x"}}, "examples": [{"f": "<i>"}]}}
        },
    }
    page = described(schema)
    assert "<h1>&lt;b&gt; 1</h1>" in page
    assert "&lt;i&gt;</td><td> Default: x." in page
    assert "<pre>{\n  &#34;f&#34;: &#34;&lt;i&gt;&#34;\n}</pre>" in page
