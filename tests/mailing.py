"""Sending a message of its own, and waiting for what becomes of it."""

import email

from harness import wait_for

ALICE = "alice@example.org"


class Counter:
	number = 0


def send(server, *recipients, subject=None, sender=ALICE, body=b"x\r\n", options=(), utf8=False):
	"""Sends one message with a subject of its own; returns its bytes."""
	Counter.number += 1
	subject = subject or f"number {Counter.number}"
	sent = f"Subject: {subject}\r\n\r\n".encode() + body
	with server.smtp() as client:
		client.sendmail(sender, list(recipients), sent, options)
	return sent


def wait_sent(server, sink, sent, count=1):
	"""The messages at this sink that are the one sent."""
	def find():
		found = [message for message in sink.messages if message.data.endswith(sent)]
		return found if len(found) >= count else None

	try:
		return wait_for(find, f"{sent[:40]} at {sink.address}")
	except AssertionError as error:
		raise AssertionError(f"{error}; {sink.commands[-20:]}\n{server.words()}") from None


def wait_report(server, recipient, user=ALICE):
	"""The report about this recipient."""
	def find():
		for mail in server.mails(user):
			parsed = email.message_from_bytes(mail)
			if parsed.get_content_type() == "multipart/report" and recipient in fields_of(parsed).get("Final-Recipient", ""):
				return parsed
		return None

	try:
		return wait_for(find, f"a report about {recipient}")
	except AssertionError as error:
		raise AssertionError(f"{error}\n{server.words()}") from None


def fields_of(report):
	"""The fields about the message and about the first recipient, together."""
	status = report.get_payload()[1]
	assert status.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
	return {name: value for part in status.get_payload() for name, value in part.items()}


def queued(server):
	return server.json_command("queue", "list")


def wait_queue_empty(server):
	wait_for(lambda: not queued(server), "an empty queue")
