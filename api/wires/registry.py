"""Owns the list of wires that have routes of their own: adding one is a package here and a line below."""

from typing import Final

from fastapi import APIRouter

from outlive.api.wires.chat.routes import router as chat
from outlive.api.wires.responses.routes import router as responses

ROUTERS: Final[tuple[APIRouter, ...]] = (chat, responses)
