package main

// examples are commands for the help of a verb, as one would type them: a test parses each. What they mean stands behind a #.
var examples = map[string]string{
	"serve": `
stele serve                                             # a store in ./stele-data, S3 on 127.0.0.1:9000
stele serve --data /var/lib/stele --listen 0.0.0.0:9000 --tls self
stele serve --from dir:///mnt/nas/stele --data ./elsewhere --recovery-key stele-recovery-kit.txt`,
	"init":        `stele init --data /var/lib/stele --kit /root/stele-recovery-kit.txt`,
	"kit":         `stele kit`,
	"kit confirm": `stele kit confirm /media/usb/stele-recovery-kit.txt`,
	"kit split":   `stele kit split --shares 5 --threshold 3 /media/usb/stele-recovery-kit.txt`,
	"kit combine": `stele kit combine one.txt two.txt three.txt -o stele-recovery-kit.txt`,
	"kit check":   `stele kit check /media/usb/stele-share-1a2b3c4d-2-of-5.txt`,
	"key create": `
stele key create --role readwrite --scope photos        # all of one bucket
stele key create --role append --scope backups/laptop/  # may add, and neither overwrite nor delete`,
	"key list":       `stele key list`,
	"key revoke":     `stele key revoke STELE7Q2VXGPSDLA4`,
	"key show-root":  `stele key show-root --secret`,
	"promote":        `stele promote --data ./standby-data --reason "the old primary burned"`,
	"standby":        `stele standby --from https://primary:9001 --data ./standby-data`,
	"standby add":    `stele standby add two age1qy3n5s0f8x2z4c6v8b0m2l4k6j8h0g2f4d6s8a0q2w4e6r8t0yusn9k5qd`,
	"standby list":   `stele standby list`,
	"standby rm":     `stele standby rm two`,
	"standby status": `stele standby status --data ./standby-data`,
	"target add": `
stele target add nas dir:///mnt/nas/stele
stele target add cloud 's3://backups/stele?endpoint=https://s3.example.com' --offsite --target-key ID --target-key-file secret.txt`,
	"target list":   `stele target list`,
	"target rm":     `stele target rm nas`,
	"target cancel": `stele target cancel nas`,
	"target sync":   `stele target sync`,
	"restore": `
stele restore photos/2024 --at yesterday --dry-run      # what would be put back
stele restore photos/2024 --at yesterday
stele restore photos --at "2026-11-20 10:00" --to-dir ./photos
stele restore --from dir:///mnt/nas/stele --data ./new --recovery-key stele-recovery-kit.txt`,
	"status": `
stele status
stele status --seen                                     # what it shows of hides in bulk is in order`,
	"put": `
stele put cat.jpg photos                                # as photos/cat.jpg
stele put -r --create ~/pictures photos/2024
tar c /etc | stele put - backups/etc.tar`,
	"get": `
stele get photos/cat.jpg
stele get -r photos/2024 ./2024 --at yesterday`,
	"ls": `
stele ls
stele ls photos/2024/ --at 2h                           # as it was two hours ago
stele ls -r --versions photos`,
	"cat": `stele cat photos/notes.txt --at yesterday`,
	"rm": `
stele rm photos/cat.jpg
stele rm -r photos/2024`,
	"bucket create":     `stele bucket create photos --versioning`,
	"bucket list":       `stele bucket list --at yesterday`,
	"bucket info":       `stele bucket info photos`,
	"bucket versioning": `stele bucket versioning photos on`,
	"bucket lock":       `stele bucket lock photos --mode COMPLIANCE --days 30`,
	"bucket delete":     `stele bucket delete photos`,
	"history":           `stele history photos/cat.jpg`,
	"log": `
stele log -n 20
stele log --type 'object.*' --bucket photos --since yesterday
stele log --actor local:alice --json`,
	"prove": `
stele prove photos/cat.jpg -o cat.receipt
stele prove --epochs ./epochs                           # for who has pinned the key of an older epoch`,
	"verify": `
stele verify --deep                                     # every byte of the store
stele verify --deep --heal                              # and replace what is damaged by a target's copy
stele verify cat.jpg --receipt cat.receipt --vkey store.vkey`,
	"view pin":      `stele view pin audit2026 --at "2026-11-20 10:00"`,
	"view list":     `stele view list`,
	"doctor":        `stele doctor`,
	"dump epochs":   `stele dump epochs`,
	"dump segments": `stele dump segments`,
	"dump packs":    `stele dump packs --chunks`,
	"dump entries":  `stele dump entries --from 100 --to 120`,
	"dump raw":      `stele dump raw stele-data/segments/*00001.seg`,
	"drill": `
stele drill nas
stele drill nas --full --page certificate.html`,
	"drill check":     `stele drill check certificate --vkey store.vkey`,
	"demo ransomware": `stele demo ransomware`,
	"demo tamper":     `stele demo tamper`,
	"demo fire":       `stele demo --keep ./fire fire`,
	"version":         `stele version --vkey > store.vkey`,
}
