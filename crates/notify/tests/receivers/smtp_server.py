"""A mail server for tests: smtp_server.py starttls|tls|plain CERT KEY. It prints its port, then every mail as a line of JSON."""

import asyncio
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mode, certificate, key = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        print(json.dumps({
            "tls": session.ssl is not None or mode == "tls",
            "user": session.auth_data,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.title(): str(value) for name, value in mail.items()},
            "parts": [{"type": p.get_content_type(), "body": p.get_content()} for p in parts],
        }), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    if data.login == b"apikey" and data.password == b"hunter2":
        session.auth_data = data.login.decode()
        return AuthResult(success=True, auth_data=data.login.decode())
    return AuthResult(success=False, handled=False)


options = {"authenticator": authenticate, "auth_required": mode != "plain", "auth_require_tls": mode == "starttls"}
# With implicit TLS only LOGIN is offered, else only PLAIN: each is tried, and the real Alertmanager does not speak this LOGIN.
options["auth_exclude_mechanism"] = ["PLAIN"] if mode == "tls" else ["LOGIN"]
if mode == "starttls":
    options |= {"tls_context": context, "require_starttls": True}


async def serve():
    loop = asyncio.get_running_loop()
    tls = context if mode == "tls" else None
    server = await loop.create_server(lambda: SMTP(Handler(), loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
