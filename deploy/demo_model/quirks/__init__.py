"""Owns quirks: how compatible servers write an otherwise good answer, and how they refuse a request.

    texts       what holds the text of a delta            calls       how tool calls are written
    shapes      what a chunk looks like around its delta  endings     finish reasons
    usages      how tokens are counted                    frames      bytes between the chunks, and the head
    refusals    requests that such a server refuses       error_bodies  how it says so
    rewrite     applies all that a request asks for to the steps of a script

Each of them has been seen at a real provider or gateway. All but `rewrite` know only decoded chunks, bytes or
request bodies, and read no clock; each has a table whose names are the names of its quirks.
"""
