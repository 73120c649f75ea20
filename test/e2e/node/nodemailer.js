/*
 * nodemailer sends to our server; run by test_senders.py, which reads the JSON line
 * at the end. Arguments: the installed nodemailer, then {host, port, ca, big}.
 */
"use strict";
const fs = require("fs");
const nodemailer = require(process.argv[2]);
const where = JSON.parse(process.argv[3]);

function transport(options) {
	return nodemailer.createTransport({
		host: where.host,
		port: where.port,
		name: "node.sender.test",
		requireTLS: true,
		tls: { ca: fs.readFileSync(where.ca), servername: "mail.example.test" },
		...options,
	});
}

async function refused(t, mail) {
	try {
		await t.sendMail(mail);
	} catch (e) {
		return { code: e.responseCode, said: e.response };
	}
	return null;
}

async function main() {
	const out = {};
	const t = transport({ pool: true, maxConnections: 2, maxMessages: 3 });
	out.verified = await t.verify();
	out.pooled = (
		await Promise.all(
			[...Array(10).keys()].map((n) =>
				t.sendMail({
					from: "Node <node@sender.test>",
					to: ["alice@example.test", "bob@example.test"],
					subject: `node ${n}`,
					text: ".\n..\nline of grüße\n.\n",
					html: "<p>grüße</p>",
					attachments: [{ filename: "größe.bin", content: Buffer.alloc(5000, n) }],
				})
			)
		)
	).map((r) => [r.accepted.length, r.response]);
	const some = await t.sendMail({
		from: "node@sender.test",
		to: "bob@example.test, nobody@example.test",
		subject: "node to some",
		text: "x",
	});
	out.some = [some.accepted, some.rejected];
	out.nobody = await refused(t, {
		from: "node@sender.test",
		to: "nobody@example.test",
		text: "x",
	});
	out.relay = await refused(t, { from: "node@sender.test", to: "x@elsewhere.example", text: "x" });
	const wide = await t.sendMail({
		envelope: { from: "jürgen@sender.test", to: "alice@example.test", use8BitMime: true },
		raw: "From: jürgen@sender.test\r\nSubject: node ütf8\r\n\r\ngrün\r\n",
	});
	out.wide = wide.response;
	const big = await t.sendMail({
		from: "node@sender.test",
		to: "carol@example.test",
		subject: "node big",
		attachments: [{ filename: "big", content: Buffer.alloc(where.big, 7) }],
	});
	out.big = big.response;
	t.close();
	console.log(JSON.stringify(out));
}

main().catch((e) => {
	console.error(e);
	process.exit(1);
});
