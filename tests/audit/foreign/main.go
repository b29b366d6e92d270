// Foreign checks our logs with the transparency log packages of the Go project
// (golang.org/x/mod/sumdb/note and tlog), which share no code with ours.
//
//	foreign DIR VKEY [OLD-CHECKPOINT]
//
// verifies a directory as it is served: signature, tiles, entries, growth. Exit code 1 if anything
// is wrong. Without arguments it answers questions, one JSON object a line: "ok" or "no: <why>".
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256

// A question asks whether a note opens; with a directory, whether the log there is the note's; with
// a proof, whether the leaf is in it; with an old tree, whether it only grew.
type question struct {
	Keys        []string
	Note        string
	Directory   string
	Index       int64
	Leaf        []byte
	Proof       [][]byte
	OldSize     int64
	OldRoot     []byte
	Consistency [][]byte
}

// witness verifies cosignature/v1, which the note package does not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, msg)
	return ed25519.Verify(w.key, []byte(text), sig[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return note.NewVerifier(vkey)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return witness{name, binary.BigEndian.Uint32(sum[:]), key[1:]}, nil
}

func open(text string, keys []string) (tree tlog.Tree, err error) {
	var known []note.Verifier
	for _, key := range keys {
		v, err := verifier(key)
		if err != nil {
			return tree, err
		}
		known = append(known, v)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(known...))
	if err != nil {
		return tree, err
	}
	if len(opened.Sigs) != len(keys) {
		return tree, errors.New("not signed by all")
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != known[0].Name() {
		return tree, errors.New("not a checkpoint of this origin")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func hashes(raw [][]byte) (found []tlog.Hash, err error) {
	for _, each := range raw {
		var hash tlog.Hash
		if copy(hash[:], each) != len(each) || len(each) != tlog.HashSize {
			return nil, errors.New("not a hash")
		}
		found = append(found, hash)
	}
	return found, nil
}

type directory string

func (d directory) Height() int                        { return 8 }
func (d directory) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (d directory) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		each, err := os.ReadFile(filepath.Join(string(d), path))
		if err != nil {
			return nil, err
		}
		data = append(data, each)
	}
	return data, nil
}

// entries checks that every entry hashes to a leaf that the tree proves.
func (d directory) entries(tree tlog.Tree) error {
	reader := tlog.TileHashReader(tree, d)
	for first := int64(0); first < tree.N; first += width {
		tile := tlog.Tile{H: 8, L: 0, N: first / width, W: int(min(width, tree.N-first))}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(string(d), path))
		if err != nil {
			return err
		}
		var indexes []int64
		for i := range int64(tile.W) {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		proved, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, hash := range proved {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return errors.New("cut bundle")
			}
			size := 2 + int(binary.BigEndian.Uint16(data))
			if tlog.RecordHash(data[2:size]) != hash {
				return fmt.Errorf("entry %d is not what was logged", first+int64(i))
			}
			data = data[size:]
		}
		if len(data) != 0 {
			return errors.New("more in a bundle than entries")
		}
	}
	return nil
}

func (d directory) check(tree tlog.Tree, old tlog.Tree) error {
	if err := d.entries(tree); err != nil {
		return err
	}
	if old.N == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, d))
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

func answer(q question) error {
	tree, err := open(q.Note, q.Keys)
	if err != nil {
		return err
	}
	roots, err := hashes([][]byte{append(q.OldRoot, make([]byte, tlog.HashSize-len(q.OldRoot))...)})
	if err != nil {
		return err
	}
	old := tlog.Tree{N: q.OldSize, Hash: roots[0]}
	if q.Directory != "" {
		return directory(q.Directory).check(tree, old)
	}
	if q.Proof != nil {
		proof, err := hashes(q.Proof)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(proof, tree.N, tree.Hash, q.Index, tlog.RecordHash(q.Leaf))
	}
	if q.Consistency != nil {
		proof, err := hashes(q.Consistency)
		if err != nil {
			return err
		}
		return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
	}
	return nil
}

func verify(arguments []string) error {
	text, err := os.ReadFile(filepath.Join(arguments[0], "checkpoint"))
	if err != nil {
		return err
	}
	q := question{Keys: arguments[1:2], Note: string(text), Directory: arguments[0]}
	if len(arguments) > 2 {
		text, err := os.ReadFile(arguments[2])
		if err != nil {
			return err
		}
		old, err := open(string(text), q.Keys)
		if err != nil {
			return err
		}
		q.OldSize, q.OldRoot = old.N, bytes.Clone(old.Hash[:])
	}
	return answer(q)
}

func main() {
	if len(os.Args) > 2 {
		if err := verify(os.Args[1:]); err != nil {
			fmt.Println("no:", err)
			os.Exit(1)
		}
		fmt.Println("ok")
		return
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var q question
		if err = json.Unmarshal(line, &q); err == nil {
			err = answer(q)
		}
		if err != nil {
			fmt.Println("no:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
