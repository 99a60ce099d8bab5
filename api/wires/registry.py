"""Owns the list of wires with their own routes. To add a wire, add a package beside this file and a line below."""

from typing import Final

from fastapi import APIRouter

from outlive.api.wires.chat.routes import router as chat
from outlive.api.wires.responses.routes import router as responses

ROUTERS: Final[tuple[APIRouter, ...]] = (chat, responses)
