package main

import "stele/internal/target"

const description = `An immutable S3 store that can prove it kept everything.

    stele serve                   # make a store, or go on with it: it prints what to do next
    stele status                  # how the store and its copies stand
    stele VERB --help             # what a verb does, with examples

A verb works on the folder --data by itself, through the server that holds that folder, or on a server's admin address (--server).
Every flag can be set by the environment: --data by STELE_DATA, --tls-cert by STELE_TLS_CERT, and so on.`

const whenHelp = `2h (ago), 1h30m, 7d, yesterday, 04:04 (the last one), "2026-11-20 10:00" (UTC), 2026-11-20T10:00:00+01:00, Unix seconds`

var helpVars = map[string]string{
	"at":   "The store as of a moment: " + whenHelp + ", @123456 (ledger size) or a pinned view's name.",
	"when": whenHelp,

	"targets": target.Forms(),
}

// cli is the grammar: a line per verb.
type cli struct {
	Globals

	Serve   serveCmd   `cmd:"" group:"Serve" help:"Serve S3, and the other verbs, from a data folder. An empty folder becomes a new store."`
	Init    initCmd    `cmd:"" group:"Serve" help:"Make a new store and its recovery kit."`
	Kit     kitCmd     `cmd:"" group:"Serve" help:"The recovery kit: where it is, and proof that it reads back."`
	Key     keyCmd     `cmd:"" group:"Serve" help:"Access keys."`
	Promote promoteCmd `cmd:"" group:"Serve" help:"Make the store in a folder the primary of a new epoch, from now or from a past moment."`
	Standby standbyCmd `cmd:"" group:"Serve" help:"Follow a primary, verify it, and be ready to take over; or admit those who do."`
	Target  targetCmd  `cmd:"" group:"Backup" help:"Targets: where copies of the store go, all the time or on a schedule."`
	Restore restoreCmd `cmd:"" group:"Backup" help:"Put a bucket, a folder or a key back as it was; or, with --from, make a data folder of a backup."`
	Status  statusCmd  `cmd:"" group:"Backup" help:"How the store and its copies stand: 3-2-1-1-0, line by line."`
	Put     putCmd     `cmd:"" group:"Objects" help:"Put files, trees or standard input."`
	Get     getCmd     `cmd:"" group:"Objects" help:"Get an object, or a tree with -r."`
	Ls      lsCmd      `cmd:"" group:"Objects" help:"List buckets or objects."`
	Cat     catCmd     `cmd:"" group:"Objects" help:"Write objects to standard output."`
	Rm      rmCmd      `cmd:"" group:"Objects" help:"Hide objects. Nothing is erased: earlier views still show them."`
	Bucket  bucketCmd  `cmd:"" group:"Objects" help:"Make, list, configure and delete buckets."`
	History historyCmd `cmd:"" group:"Audit" help:"Every change of one key: who, what, when, from where."`
	Log     logCmd     `cmd:"" group:"Audit" help:"Query the ledger."`
	Prove   proveCmd   `cmd:"" group:"Audit" help:"Write the receipt of an object, which anyone can check offline."`
	Verify  verifyCmd  `cmd:"" group:"Audit" help:"Verify the store, or a file against a receipt."`
	View    viewCmd    `cmd:"" group:"Audit" help:"Pinned views of the past."`
	Doctor  doctorCmd  `cmd:"" group:"Care" help:"Check the folder, its keys, the disk, the clock and the index, with a next step for each fault."`
	Dump    dumpCmd    `cmd:"" group:"Care" help:"Read segments and packs as they lie on disk, without index or server."`
	Drill   drillCmd   `cmd:"" group:"Care" help:"Prove that a target can be restored, with a signed certificate."`
	Demo    demoCmd    `cmd:"" group:"Care" help:"Stories with real stores in a temporary folder, under a minute each: what was proven."`
	Version versionCmd `cmd:"" group:"Care" help:"Print the version."`
}

// Globals are the flags of all verbs.
type Globals struct {
	Data          string `group:"Every verb" short:"d" placeholder:"DIR" help:"Data folder (./stele-data)."`
	Server        string `group:"Every verb" placeholder:"URL" help:"Work on a server by its admin address instead of a folder."`
	AccessKey     string `group:"Every verb" placeholder:"ID" help:"Access key for --server."`
	SecretKey     string `group:"Every verb" placeholder:"SECRET" help:"Its secret. Better in STELE_SECRET_KEY or a file."`
	SecretKeyFile string `group:"Every verb" placeholder:"FILE" help:"File that holds the secret."`
	CA            string `group:"Every verb" name:"ca" placeholder:"FILE" help:"Certificate in PEM to trust for --server, as made by stele serve --tls self."`
	RecoveryKey   string `group:"Every verb" placeholder:"FILE" help:"Recovery kit that opens the store in place of the folder's own identity."`
	JSON          bool   `group:"Every verb" help:"Print one JSON document, or JSON lines where there are many."`
	Quiet         bool   `group:"Every verb" short:"q" help:"No progress, no remarks."`
}
