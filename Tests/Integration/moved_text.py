"""Puts texts that were moved from `attributes` to the columns `input` and `output` back, as the database's documentation says how.

`{"column": "input"}`: the column's text. `{"column": ["input", 0, "content"]}`: the text at that place of the column read as JSON;
without a path, what the JSON says. `{"column": {"input": [1, 20]}}`: 20 characters from the first on, `before` in front, as JSON when
`json` says so.
"""
import json


def put_back(attributes, row, string, value_of_json, json_of_column):
    """The attributes as JSON values, where moved ones are finished values: `string(text)` or what `value_of_json` makes."""
    def first_wins(pairs):
        return dict(reversed(pairs))

    def restored(value):
        if not (isinstance(value, dict) and value.keys() == {"column"}):
            return value
        place = value["column"]
        if isinstance(place, str):
            return string(row[place])
        if isinstance(place, list):
            name, *path = place
            if not path:
                return value_of_json(json_of_column(row[name]))
            found = json.loads(row[name], object_pairs_hook=first_wins)
            for step in path:
                found = found[step]
            assert isinstance(found, str), found
            return string(found)
        name = "input" if "input" in place else "output"
        start, count = place[name]
        text = place.get("before", "") + row[name][start - 1:start - 1 + count]
        return value_of_json(json_of_column(text)) if place.get("json") else string(text)

    if attributes.keys() == {"kvlist"} and isinstance(attributes["kvlist"], list):
        return {"kvlist": [[key, restored(value)] for key, value in attributes["kvlist"]]}
    return {key: restored(value) for key, value in attributes.items()}
