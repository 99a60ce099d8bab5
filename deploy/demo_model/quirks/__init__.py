"""Owns quirks: how compatible servers write an otherwise good answer, and how they refuse a request.

    texts         members and values that hold text        calls     tool calls
    shapes        chunks around their delta                 endings   finish reasons
    usages        counts of tokens                          frames    bytes between the chunks, and the head
    refusals      requests that such a server refuses       failure_bodies
    rewrite       applies all quirks of a request to the steps of a script

Each of them has been seen at a real provider or gateway. All but `rewrite` know only decoded chunks, bytes or
request bodies, and read no clock; each has a table whose names are the names of its quirks.
"""
