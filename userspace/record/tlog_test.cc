// The tree, its tiles, notes and proofs, against vectors that tests/reader computed from the specifications.
#include <gtest/gtest.h>

#include "record/note_values.h"
#include "record/merkle.h"
#include "record/record_test_support.h"
#include "record/signed_note.h"
#include "record/tlog_proof.h"
#include "record/tlog_tiles.h"
#include "record/tlog_vectors.h"

namespace weir::record {
namespace {

std::string entry(uint64_t index) { return "entry " + std::to_string(index); }

// All hashes of all full subtrees, by height.
class WholeTree {
 public:
  explicit WholeTree(uint64_t size) {
    rows_.emplace_back();
    for (uint64_t index = 0; index < size; ++index) rows_[0].push_back(leaf_hash(as_bytes(entry(index))));
    while (rows_.back().size() > 1) {
      std::vector<Digest> row;
      for (std::size_t at = 0; at + 1 < rows_.back().size(); at += 2) row.push_back(node_hash(rows_.back()[at], rows_.back()[at + 1]));
      rows_.push_back(std::move(row));
    }
  }
  [[nodiscard]] const Digest& leaf(uint64_t index) const { return rows_[0][index]; }
  [[nodiscard]] SubtreeHash hashes(uint64_t size) const {
    return [this, size](unsigned height, uint64_t index) -> Result<Digest> {
      EXPECT_LE((index + 1) << height, size) << "a proof asks for what is not in the tree";
      return rows_[height][index];
    };
  }
  [[nodiscard]] Digest root(uint64_t size) const { return tree_root(size, hashes(size)).value(); }

 private:
  std::vector<std::vector<Digest>> rows_;
};

std::string digest_of(const std::vector<Digest>& hashes) {
  std::string all;
  for (const Digest& hash : hashes) all += as_text(hash);
  return hex(sha256(as_bytes(all)));
}

TEST(Merkle, RootsAreThoseOfTheDefinitionHoweverTheyAreMade) {
  const WholeTree tree(700);
  MerkleFrontier frontier;
  for (const vectors::Root& vector : vectors::kRoots) {
    for (; frontier.size() < vector.size; ) frontier.add(tree.leaf(frontier.size()));
    EXPECT_EQ(hex(frontier.root()), vector.root) << vector.size;
    EXPECT_EQ(hex(tree.root(vector.size)), vector.root) << vector.size;
  }
}

TEST(Merkle, ProofsAreThoseOfTheDefinition) {
  const WholeTree tree(700);
  for (const vectors::Proof& vector : vectors::kInclusion) {
    const std::vector<Digest> proof = inclusion_proof(vector.number, vector.size, tree.hashes(vector.size)).value();
    EXPECT_EQ(proof.size(), vector.hashes);
    EXPECT_EQ(digest_of(proof), vector.digest) << vector.number << " in " << vector.size;
  }
  for (const vectors::Proof& vector : vectors::kConsistency) {
    const std::vector<Digest> proof = consistency_proof(vector.number, vector.size, tree.hashes(vector.size)).value();
    EXPECT_EQ(proof.size(), vector.hashes);
    EXPECT_EQ(digest_of(proof), vector.digest) << vector.number << " to " << vector.size;
  }
  EXPECT_FALSE(inclusion_proof(5, 5, tree.hashes(5)));
  EXPECT_FALSE(consistency_proof(6, 5, tree.hashes(5)));
}

TEST(Merkle, EveryProofOfSmallTreesVerifiesAndNoOtherDoes) {
  constexpr uint64_t kSizes = 40;
  const WholeTree tree(kSizes);
  for (uint64_t size = 1; size <= kSizes; ++size) {
    const Digest root = tree.root(size);
    for (uint64_t index = 0; index < size; ++index) {
      std::vector<Digest> proof = inclusion_proof(index, size, tree.hashes(size)).value();
      ASSERT_TRUE(is_included(tree.leaf(index), index, size, proof, root)) << index << " in " << size;
      EXPECT_FALSE(is_included(tree.leaf(index), index + 1, size, proof, root));
      EXPECT_FALSE(is_included(leaf_hash(as_bytes("other")), index, size, proof, root));
      EXPECT_FALSE(is_included(tree.leaf(index), size, size, proof, root));
      proof.push_back(root);
      EXPECT_FALSE(is_included(tree.leaf(index), index, size, proof, root)) << "a hash more";
      proof.pop_back();
      if (proof.empty()) continue;
      for (Digest& hash : proof) {
        hash[7] ^= std::byte{1};
        EXPECT_FALSE(is_included(tree.leaf(index), index, size, proof, root));
        hash[7] ^= std::byte{1};
      }
      proof.pop_back();
      EXPECT_FALSE(is_included(tree.leaf(index), index, size, proof, root)) << "a hash less";
    }
    for (uint64_t old = 0; old <= size; ++old) {
      std::vector<Digest> proof = consistency_proof(old, size, tree.hashes(size)).value();
      const Digest old_root = tree.root(old);
      ASSERT_TRUE(is_consistent(old, old_root, size, root, proof)) << old << " to " << size;
      EXPECT_FALSE(is_consistent(old, leaf_hash(as_bytes("x")), size, root, proof)) << old << " to " << size;
      EXPECT_FALSE(is_consistent(size + 1, old_root, size, root, proof));
      if (old != 0) {
        EXPECT_FALSE(is_consistent(old, old_root, size, leaf_hash(as_bytes("x")), proof)) << old << " to " << size;
      }
      for (Digest& hash : proof) {
        hash[31] ^= std::byte{0x80};
        EXPECT_FALSE(is_consistent(old, old_root, size, root, proof));
        hash[31] ^= std::byte{0x80};
      }
      proof.push_back(root);
      EXPECT_FALSE(is_consistent(old, old_root, size, root, proof)) << "a hash more";
    }
  }
}

TEST(Tiles, NamesAreReadAsTheyAreWritten) {
  EXPECT_EQ(tile_path({.level = 0, .index = 1234067}), "tile/0/x001/x234/067");
  EXPECT_EQ(tile_path({.level = 63, .index = 5, .width = 9}), "tile/63/005.p/9");
  EXPECT_EQ(tile_path({.is_entries = true, .index = 1000, .width = 255}), "tile/entries/x001/000.p/255");
  for (const uint64_t index : {uint64_t{0}, uint64_t{999}, uint64_t{1000}, uint64_t{999'999}, uint64_t{1'000'000}, UINT64_MAX}) {
    const TileName name{.level = 3, .index = index, .width = 17};
    EXPECT_EQ(parse_tile_path(tile_path(name)), name);
  }
  for (const char* bad : {"", "tile", "tile/0", "tile/0/", "tile/0/00", "tile/0/0000", "tile/0/x000/001", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256",
                          "tile/0/000.p/01", "tile/0/000.p", "tile/0/000.p/1/2", "tile/entries/x001", "tile/x/000", "tile/0/001/002", "tile/0/x001/002.p/", "tile/0/-01", "/tile/0/000",
                          "tile/0/x018/x446/x744/x073/x709/x551/616", "tile/0/x001.p/5/000"}) {
    EXPECT_FALSE(parse_tile_path(bad)) << bad;
  }
}

TEST(Tiles, WidthsOfTheSpecificationsExample) {
  EXPECT_EQ(level_size(70'000, 0) / 256, 273u);
  EXPECT_EQ(tile_width(70'000, 0, 272), 256u);
  EXPECT_EQ(tile_width(70'000, 0, 273), 112u);
  EXPECT_EQ(tile_width(70'000, 0, 274), 0u);
  EXPECT_EQ(tile_width(70'000, 1, 0), 256u);
  EXPECT_EQ(tile_width(70'000, 1, 1), 17u);
  EXPECT_EQ(tile_width(70'000, 2, 0), 1u);
  EXPECT_EQ(tile_width(70'000, 3, 0), 0u);
  EXPECT_EQ(tile_width(256, 0, 1), 0u);
  EXPECT_EQ(tile_width(256, 1, 0), 1u);
  EXPECT_EQ(tile_width(UINT64_MAX, 8, 0), 0u);
}

// Builds the files of a tree of 700 as the log does, and proves from them.
TEST(Tiles, OfATreeAreThoseOfTheDefinitionAndProofsComeFromThem) {
  constexpr uint64_t kSize = 700;
  const WholeTree tree(kSize);
  std::map<std::string, std::string> files;
  for (unsigned level = 0; level < 2; ++level) {
    for (uint64_t index = 0; tile_width(kSize, level, index) != 0; ++index) {
      const TileName name{.level = level, .index = index, .width = tile_width(kSize, level, index)};
      for (unsigned at = 0; at < name.width; ++at) files[tile_path(name)] += as_text(tree.hashes(kSize)(level * 8, index * 256 + at).value());
    }
  }
  for (uint64_t index = 0; index < kSize; ++index) append_entry(files[tile_path({.is_entries = true, .index = index / 256, .width = tile_width(kSize, 0, index / 256)})], as_bytes(entry(index)));
  ASSERT_EQ(files.size(), vectors::kTiles.size());
  for (const vectors::Tile& tile : vectors::kTiles) EXPECT_EQ(hex(sha256(as_bytes(files[tile.path]))), tile.digest) << tile.path;
  const SubtreeHash hashes = hashes_of_tiles(kSize, [&](const TileName& name) -> Result<std::string> {
    const auto found = files.find(tile_path(name));
    return found == files.end() ? Result<std::string>(fail(Error::Kind::kNotFound, tile_path(name))) : found->second;
  });
  for (uint64_t index = 0; index < kSize; ++index) EXPECT_TRUE(is_included(tree.leaf(index), index, kSize, inclusion_proof(index, kSize, hashes).value(), tree.root(kSize)));
  for (uint64_t old = 0; old <= kSize; ++old) EXPECT_TRUE(is_consistent(old, tree.root(old), kSize, tree.root(kSize), consistency_proof(old, kSize, hashes).value()));
}

TEST(Tiles, ABundleIsExactlyItsEntries) {
  std::string bundle;
  append_entry(bundle, as_bytes("one"));
  append_entry(bundle, {});
  append_entry(bundle, as_bytes(std::string(kEntrySizeMax, 'x')));
  const std::vector<Bytes> entries = split_bundle(as_bytes(bundle), 3).value();
  EXPECT_EQ(as_text(entries[0]), "one");
  EXPECT_EQ(entries[1].size(), 0u);
  EXPECT_EQ(entries[2].size(), kEntrySizeMax);
  EXPECT_FALSE(split_bundle(as_bytes(bundle), 2));
  EXPECT_FALSE(split_bundle(as_bytes(bundle), 4));
  EXPECT_FALSE(split_bundle(as_bytes(bundle).first(bundle.size() - 1), 3));
  EXPECT_FALSE(split_bundle(as_bytes(bundle + '\0'), 3));
  EXPECT_FALSE(split_tile(as_bytes("x"), 1));
}

TEST(Base64, TakesOnlyWhatItWouldWrite) {
  for (const std::string text : {"", "f", "fo", "foo", "foob"}) {
    const auto back = from_base64(base64(as_bytes(text)));
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(as_text(*back), text);
  }
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Zg== ", " Zg==", "Zg==\n", "Z===", "====", "Zm9=", "Zm-v", "Zg==Zg=="}) EXPECT_FALSE(from_base64(bad)) << bad;
  for (const char* bad : {"", "00", "01", "+1", "-1", "1 ", "18446744073709551616", "0x1"}) EXPECT_FALSE(plain_decimal(bad)) << bad;
  EXPECT_EQ(plain_decimal("18446744073709551615"), UINT64_MAX);
}

TEST(SignedNote, TheSpecificationsExample) {
  const NoteVerifier key = note_verifier_from_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").value();
  const std::string text =
      "This is an example message.\n\n\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
  const Note note = parse_note(text).value();
  EXPECT_EQ(note.text, "This is an example message.\n");
  EXPECT_EQ(check_signature(note, key), NoteCheck::kSigned);
  EXPECT_EQ(to_text(note), text);
  Note other = note;
  other.text = "This is another message.\n";
  EXPECT_EQ(check_signature(other, key), NoteCheck::kWrong);
  other.signatures[0].key_id ^= 1;
  EXPECT_EQ(check_signature(other, key), NoteCheck::kNotSigned);
}

TEST(SignedNote, ACheckpointWithItsCosignatureAndWhoMadeThem) {
  const Note note = parse_note(vectors::kCheckpoint).value();
  const NoteVerifier log = note_verifier_from_vkey(vectors::kLogKey).value(), witness = note_verifier_from_vkey(vectors::kWitnessKey).value();
  EXPECT_EQ(check_signature(note, log), NoteCheck::kSigned);
  EXPECT_EQ(check_cosignature(note, witness).outcome, NoteCheck::kSigned);
  EXPECT_EQ(check_cosignature(note, witness).at_s, 1'800'000'000u);
  EXPECT_EQ(check_signature(note, witness), NoteCheck::kUnsupported) << "a witness's line is no log's";
  EXPECT_EQ(to_vkey(log), vectors::kLogKey);
  EXPECT_EQ(to_vkey(witness), vectors::kWitnessKey);
  const Checkpoint checkpoint = checkpoint_from_text(note.text).value();
  EXPECT_EQ(checkpoint.size, 257u);
  EXPECT_EQ(to_text(checkpoint), note.text);
  Note changed = note;
  changed.signatures[1].bytes[7] ^= std::byte{1};
  EXPECT_EQ(check_cosignature(changed, witness).outcome, NoteCheck::kWrong) << "the time is signed, too";
}

TEST(SignedNote, SignedHereIsReadHereAndLinesOfOthersAreLeftAlone) {
  test::TemporaryFolder folder;
  const SigningKey key = SigningKey::generate(folder.path() + "/k").value();
  Note note{.text = "log.example/one\n0\n" + base64(empty_root()) + "\n", .signatures = {}};
  note.signatures.push_back(*note_signature_from_line("\xe2\x80\x94 somebody.example AAAAAQID"));
  note.signatures.push_back(sign_note(note.text, "log.example/one", key).value());
  const Note again = parse_note(to_text(note)).value();
  EXPECT_EQ(check_signature(again, note_verifier("log.example/one", NoteAlgorithm::kEd25519, key.verifying())), NoteCheck::kSigned);
  EXPECT_EQ(check_signature(again, note_verifier("log.example/two", NoteAlgorithm::kEd25519, key.verifying())), NoteCheck::kNotSigned);
}

TEST(SignedNote, WhatIsNoneIsRefused) {
  const std::string good = vectors::kCheckpoint;
  ASSERT_TRUE(parse_note(good));
  const auto with = [&](std::string_view what, std::string_view by) {
    std::string text = good;
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  };
  EXPECT_FALSE(parse_note(""));
  EXPECT_FALSE(parse_note("\n\n"));
  EXPECT_FALSE(parse_note(good.substr(0, good.size() - 1))) << "no newline at the end";
  EXPECT_FALSE(parse_note(good + "\n"));
  EXPECT_FALSE(parse_note(good + "x\n"));
  EXPECT_FALSE(parse_note(good.substr(0, good.find("\n\n") + 2))) << "no signature";
  EXPECT_FALSE(parse_note(with("\n\n", "\n")));
  EXPECT_FALSE(parse_note(with("257", "25\t7")));
  EXPECT_FALSE(parse_note(with("257", "25\xff")));
  EXPECT_FALSE(parse_note(with("257", "25\xed\xa0\x80"))) << "a surrogate";
  EXPECT_FALSE(parse_note(with("257", "25\xc0\xaf"))) << "not the shortest form";
  EXPECT_FALSE(parse_note(with("\xe2\x80\x94 log.example/one ", "- log.example/one ")));
  EXPECT_FALSE(parse_note(with("\xe2\x80\x94 log.example/one ", "\xe2\x80\x94 log+example/one ")));
  EXPECT_FALSE(parse_note(with("\xe2\x80\x94 log.example/one ", "\xe2\x80\x94 log.example\xe2\x80\xa8one "))) << "a line separator";
  std::string many = good;
  for (std::size_t count = 0; count <= kNoteSignaturesMax; ++count) many += "\xe2\x80\x94 w AAAAAQID\n";
  EXPECT_FALSE(parse_note(many));

  const std::string root = base64(empty_root());
  EXPECT_TRUE(checkpoint_from_text("o\n0\n" + root + "\n"));
  EXPECT_EQ(checkpoint_from_text("o\n0\n" + root + "\nmore\n").value().extensions.size(), 1u);
  for (const std::string& bad : std::vector<std::string>{"", "o\n0\n", "\n0\n" + root + "\n", "o\n00\n" + root + "\n", "o\n-1\n" + root + "\n", "o\n0\n" + root, "o\n0\n" + root + "\n\n", "o\n0\nAAAA\n"}) {
    EXPECT_FALSE(checkpoint_from_text(bad)) << bad;
  }
  for (const char* bad : {"", "a+b", "a+530d903a+", "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "a b+00000000+AQ==", "x+00000000+Bg==", "x+00000000+/w=="}) {
    EXPECT_FALSE(note_verifier_from_vkey(bad)) << bad;
  }
}

// Room for what no OpenSSL here can check: the key is read, its line is kept, nobody takes it for checked.
TEST(SignedNote, AKeyOfMlDsa44IsReadAndItsLineIsNotTakenForChecked) {
  std::vector<std::byte> key(1312, std::byte{7});
  const NoteVerifier made{.name = "w.example", .algorithm = NoteAlgorithm::kMlDsa44, .key_id = note_key_id("w.example", NoteAlgorithm::kMlDsa44, key), .public_key = key};
  const NoteVerifier read = note_verifier_from_vkey(to_vkey(made)).value();
  EXPECT_EQ(read.key_id, made.key_id);
  Note note = parse_note(vectors::kCheckpoint).value();
  note.signatures.push_back({.name = "w.example", .key_id = read.key_id, .bytes = std::vector<std::byte>(8 + 2420)});
  EXPECT_EQ(check_cosignature(parse_note(to_text(note)).value(), read).outcome, NoteCheck::kUnsupported);
}

TEST(TlogProof, ProvesItsEntryAndNoOther) {
  const TlogProof proof = parse_proof(vectors::kProof).value();
  EXPECT_EQ(proof.index, 100u);
  ASSERT_TRUE(proof.extra);
  EXPECT_EQ(as_text(*proof.extra), entry(100));
  EXPECT_TRUE(check_inclusion(proof, as_bytes(entry(100))));
  EXPECT_FALSE(check_inclusion(proof, as_bytes(entry(101))));
  EXPECT_EQ(to_text(proof), vectors::kProof);
  TlogProof other = proof;
  other.index = 101;
  EXPECT_FALSE(check_inclusion(other, as_bytes(entry(100))));
  other = proof;
  other.extra.reset();
  EXPECT_FALSE(parse_proof(to_text(other)).value().extra);
}

TEST(TlogProof, WhatIsNoneIsRefused) {
  const std::string good = vectors::kProof;
  const auto with = [&](std::string_view what, std::string_view by) {
    std::string text = good;
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  };
  EXPECT_FALSE(parse_proof(""));
  EXPECT_FALSE(parse_proof(with("@v1", "@v2")));
  EXPECT_FALSE(parse_proof(with("index 100", "index 0100")));
  EXPECT_FALSE(parse_proof(with("index 100", "Index 100")));
  EXPECT_FALSE(parse_proof(with("index 100\n", "")));
  EXPECT_FALSE(parse_proof(with("extra ", "extra  ")));
  EXPECT_FALSE(parse_proof(with("index 100\n", "index 100\nAAAA\n")));
  EXPECT_FALSE(parse_proof(with("\n\n", "\n")));
  for (std::size_t size = 0; size < good.size(); size += 3) EXPECT_FALSE(parse_proof(good.substr(0, size))) << size;
  std::string many = "index 100\n";
  for (int count = 0; count < 65; ++count) many += base64(empty_root()) + "\n";
  EXPECT_FALSE(parse_proof(with("index 100\n", many)));
}

}  // namespace
}  // namespace weir::record
