"""Owns how the words our scripts answer with become the shapes of `replies.py`. Pure."""

from outlive.shared.log.replies import DeliveryReply, ReplyCode, SeqReply, TakeReply


def answer_of(word: bytes) -> ReplyCode:
    return ReplyCode(word.decode())


def seq_reply(reply: list[bytes]) -> SeqReply:
    return SeqReply(answer_of(reply[0]), int(reply[1]) if len(reply) > 1 else -1)


def delivery_reply(reply: list[bytes]) -> DeliveryReply:
    answer = answer_of(reply[0])
    if answer is ReplyCode.OK:
        return DeliveryReply(answer, delivery=int(reply[1]))
    return DeliveryReply(answer, reason=reply[1].decode() if len(reply) > 1 else "")


def take_reply(reply: list[bytes]) -> TakeReply:
    answer = answer_of(reply[0])
    if answer is not ReplyCode.OK:
        return TakeReply(answer, reason=reply[1].decode() if len(reply) > 1 else "")
    _, epoch, attempt, counted, remaining_ms, age_ms, reason, on_interrupt, trace, request = reply
    return TakeReply(
        answer,
        epoch=int(epoch),
        attempt=int(attempt),
        counted=int(counted),
        remaining_s=int(remaining_ms) / 1000,
        age_s=int(age_ms) / 1000,
        reason=reason.decode(),
        may_restart=on_interrupt == b"restart",
        trace=trace.decode(),
        request=request,
    )
