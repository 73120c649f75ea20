/*
 * imapflow against our server; run by test_clients.py, which reads the JSON line
 * at the end. Arguments: the installed imapflow, then {host, port, user, pass, ca}.
 */
"use strict";
const fs = require("fs");
const assert = require("assert");
const { ImapFlow } = require(process.argv[2]);
const where = JSON.parse(process.argv[3]);

function client(options) {
	return new ImapFlow({
		host: where.host,
		port: where.port,
		secure: true,
		tls: { ca: fs.readFileSync(where.ca), servername: "localhost" },
		auth: { user: where.user, pass: where.pass },
		logger: false,
		...options,
	});
}

function mail(n) {
	return Buffer.from(
		`From: Flow <flow@example.org>\r\nTo: you@example.test\r\nSubject: flow ${n}\r\n` +
			`Message-ID: <flow.${n}@example.org>\r\n\r\nbody number ${n}\r\n`
	);
}

function event(emitter, name, ms = 10000) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`no ${name} in ${ms} ms`)), ms);
		emitter.once(name, (data) => {
			clearTimeout(timer);
			resolve(data);
		});
	});
}

async function everyday(a) {
	await a.mailboxCreate("Flow");
	await a.mailboxCreate("Flow/Done");
	for (let n = 1; n <= 6; n++) {
		const r = await a.append("Flow", mail(n), n % 2 ? ["\\Seen"] : []);
		assert.strictEqual(r.uid, n);
	}
	const box = await a.mailboxOpen("Flow");
	assert.strictEqual(box.exists, 6);
	assert.deepStrictEqual(await a.search({ seen: false }, { uid: true }), [2, 4, 6]);
	assert.deepStrictEqual(await a.search({ subject: "flow 3" }), [3]);
	assert.deepStrictEqual(await a.search({ body: "number 5" }), [5]);
	assert(await a.messageFlagsAdd("2", ["\\Flagged", "$Todo"], { uid: true }));
	const two = await a.fetchOne("2", { flags: true, envelope: true, source: true, bodyStructure: true });
	assert(two.flags.has("\\Flagged") && two.flags.has("$Todo"));
	assert.strictEqual(two.envelope.subject, "flow 2");
	assert(two.source.equals(mail(2)));
	const moved = await a.messageMove("1:2", "Flow/Done", { uid: true });
	assert.deepStrictEqual([...moved.uidMap], [[1, 1], [2, 2]]);
	const copied = await a.messageCopy("3", "Flow/Done", { uid: true });
	assert.deepStrictEqual([...copied.uidMap], [[3, 3]]);
	assert(await a.messageDelete("4", { uid: true }));
	/* With QRESYNC imapflow does not count down at VANISHED, so the server is asked. */
	assert.strictEqual((await a.status("Flow", { messages: true })).messages, 3);
	const st = await a.status("Flow/Done", { messages: true, unseen: true, uidNext: true });
	assert.deepStrictEqual([st.messages, st.unseen, st.uidNext], [3, 1, 4]);
	const names = (await a.list()).map((m) => m.path);
	assert(names.includes("Flow") && names.includes("Flow/Done") && names.includes("INBOX"));
}

/* b does something, a in IDLE hears of it. */
async function push(a, b) {
	await a.mailboxOpen("Flow");
	await b.mailboxOpen("Flow");
	a.idle();
	await new Promise((resolve) => setTimeout(resolve, 200));
	let heard = event(a, "exists");
	await b.append("Flow", mail(7));
	assert.strictEqual((await heard).count, 4);
	heard = event(a, "flags");
	await b.messageFlagsAdd("7", ["\\Flagged"], { uid: true });
	assert((await heard).flags.has("\\Flagged"));
	heard = event(a, "expunge");
	await b.messageDelete("3", { uid: true });
	const gone = await heard;
	assert(gone.uid === 3 || gone.seq === 1, JSON.stringify(gone));
	return gone;
}

/* One connection leaves, another changes things, the first comes back. */
async function resync(b) {
	let a = client({ qresync: true });
	await a.connect();
	const before = await a.mailboxOpen("Flow");
	const state = { changedSince: before.highestModseq, uidValidity: before.uidValidity };
	await a.logout();
	await b.mailboxOpen("Flow");
	await b.messageFlagsAdd("6", ["\\Answered"], { uid: true });
	await b.messageDelete("5", { uid: true });
	a = client({ qresync: true });
	const vanished = [];
	const changed = [];
	a.on("expunge", (e) => vanished.push(e.uid));
	a.on("flags", (e) => changed.push([e.uid, [...e.flags]]));
	await a.connect();
	await a.mailboxOpen("Flow", state);
	assert.deepStrictEqual(vanished, [5]);
	assert.deepStrictEqual(changed, [[6, ["\\Answered"]]]);
	const since = [];
	for await (const m of a.fetch("1:*", { uid: true, flags: true }, { uid: true, changedSince: state.changedSince })) {
		since.push(m.uid);
	}
	assert.deepStrictEqual(since, [6]);
	await a.logout();
}

async function main() {
	const a = client({ qresync: true });
	const b = client({});
	await a.connect();
	await b.connect();
	await everyday(a);
	const gone = await push(a, b);
	const result = { capabilities: [...a.capabilities.keys()], enabled: [...a.enabled], gone };
	result.compressed = !!a._deflate;
	await a.logout();
	if (result.enabled.includes("QRESYNC")) {
		await resync(b);
		result.resync = true;
	}
	await b.mailboxDelete("Flow/Done");
	await b.mailboxClose();
	await b.mailboxDelete("Flow");
	await b.logout();
	console.log(JSON.stringify(result));
}

main().catch((e) => {
	console.error(e.stack, e.responseText || "", e.response || "");
	process.exit(1);
});
