// What lines of known_hosts mean. Keys, hashes and fingerprints here were made by ssh-keygen.
#include "orchestrator/remote/known_hosts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const std::string kFirst = "AAAAC3NzaC1lZDI1NTE5AAAAIEnPjQbDbHiVKStJgZW2aFtW+29bAAiARPcjAuZtFpjo";
const std::string kSecond = "AAAAC3NzaC1lZDI1NTE5AAAAIBBzwL8tpzK8N0OimX58odYQktNiUFKCZmDeKs1YTkJU";
const std::string kEcdsa =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEVfCrUTBp/"
    "4GV8dnsIkR0ZxHHMINMERYyvidPGc2b31ArsWPlNsrFxW"
    "oHSzKJjWxvngorcmy0j6vTZey2J+We0=";

HostKey key(const std::string& base64) {
  Result<HostKey> parsed = parse_host_key(base64);
  if (!parsed) bug(parsed.error().message);
  return *parsed;
}

class KnownHostsTest : public testing::Test {
 protected:
  KnownHosts of(const std::string& text) {
    Result<KnownHosts> read = KnownHosts::read({dir.file("known_hosts", text)});
    if (!read) bug(read.error().message);
    return *read;
  }
  KeyVerdict verdict(const std::string& text, const std::string& host, int port,
                     const std::string& shown = kFirst) {
    return of(text).look(host, port, key(shown)).verdict;
  }
  std::string place(int line) const { return (dir / "known_hosts").string() + ":" + std::to_string(line); }
  TempDir dir;
};

TEST_F(KnownHostsTest, FingerprintsAreThoseOfSshKeygen) {
  EXPECT_EQ(key(kFirst).fingerprint(), "SHA256:XtCVWTtnIuwm7qbbKDcXeYOdqpk+AEV9S5Ns+iU68go");
  EXPECT_EQ(key(kEcdsa).fingerprint(), "SHA256:lG8Zfndq6o5sRID/unXEoFGG6vgqjN2UJqYLUo+vHtk");
  EXPECT_EQ(key(kEcdsa).type, "ecdsa-sha2-nistp256");
}

TEST_F(KnownHostsTest, AKeyIsKnownUnknownChangedOrOfAnotherType) {
  const std::string text = "# a comment\nnode1 ssh-ed25519 " + kFirst + " ann@home\n";
  const KnownHosts known = of(text);
  EXPECT_EQ(known.look("node1", 22, key(kFirst)).verdict, KeyVerdict::known);
  EXPECT_EQ(known.look("NODE1", 22, key(kFirst)).verdict, KeyVerdict::known);
  EXPECT_EQ(known.look("node2", 22, key(kFirst)).verdict, KeyVerdict::unknown);
  EXPECT_EQ(known.look("node2", 22, key(kFirst)).place, "");
  const KeyFinding changed = known.look("node1", 22, key(kSecond));
  EXPECT_EQ(changed.verdict, KeyVerdict::changed);
  EXPECT_EQ(changed.place, place(2));
  EXPECT_EQ(changed.recorded.fingerprint(), key(kFirst).fingerprint());
  const KeyFinding other = known.look("node1", 22, key(kEcdsa));
  EXPECT_EQ(other.verdict, KeyVerdict::other_type);
  EXPECT_EQ(other.place, place(2));
  EXPECT_EQ(known.types("node1", 22), std::vector<std::string>{"ssh-ed25519"});
  EXPECT_TRUE(known.types("node2", 22).empty());
}

TEST_F(KnownHostsTest, HashedNamesAreFound) {
  const std::string text =
      "|1|QN/LwzV/7357I9e5NsaoGTRmIZo=|6MZLnmB9JqdgCX+jJbuLNR4FAFk= ssh-ed25519 " + kFirst +
      "\n|1|7pb7ei4jxvl8ZvUnDHU4M2ylwPI=|bDvfrts7/v93FcpqYk1CtdSU5PA= ssh-ed25519 " + kSecond + "\n";
  EXPECT_EQ(verdict(text, "node1", 22), KeyVerdict::known);
  EXPECT_EQ(verdict(text, "node2", 22), KeyVerdict::unknown);
  EXPECT_EQ(verdict(text, "node1", 2222, kSecond), KeyVerdict::known);
  EXPECT_EQ(of(text).look("node1", 22, key(kSecond)).place, place(1));
}

TEST_F(KnownHostsTest, APortGoesByItsOwnLineAndOnlyWithoutOneByTheBareName) {
  const std::string both = "node1 ssh-ed25519 " + kFirst + "\n[node1]:2222 ssh-ed25519 " + kSecond + "\n";
  EXPECT_EQ(verdict(both, "node1", 2222, kSecond), KeyVerdict::known);
  EXPECT_EQ(verdict(both, "node1", 22, kSecond), KeyVerdict::changed);
  EXPECT_EQ(verdict(both, "node1", 2222, kFirst), KeyVerdict::changed);
  EXPECT_EQ(verdict(both, "node1", 2223, kFirst), KeyVerdict::known);
  EXPECT_EQ(verdict(both, "node1", 2223, kSecond), KeyVerdict::unknown);
  EXPECT_EQ(verdict("[node1]:2222 ssh-ed25519 " + kFirst + "\n", "node1", 22), KeyVerdict::unknown);
}

TEST_F(KnownHostsTest, PatternsListsAndNegationsAreUnderstood) {
  const std::string end = " ssh-ed25519 " + kFirst + "\n";
  EXPECT_EQ(verdict("other,node1,10.0.0.1" + end, "10.0.0.1", 22), KeyVerdict::known);
  EXPECT_EQ(verdict("node*" + end, "node17", 22), KeyVerdict::known);
  EXPECT_EQ(verdict("node?" + end, "node17", 22), KeyVerdict::unknown);
  EXPECT_EQ(verdict("*.cluster,!bad.cluster" + end, "a.cluster", 22), KeyVerdict::known);
  EXPECT_EQ(verdict("*.cluster,!bad.cluster" + end, "bad.cluster", 22), KeyVerdict::unknown);
  EXPECT_EQ(verdict("[node*]:2222" + end, "node3", 2222), KeyVerdict::known);
}

TEST_F(KnownHostsTest, ARevokedKeyIsRefusedWhateverElseIsSaid) {
  const std::string text = "node1 ssh-ed25519 " + kFirst + "\n@revoked * ssh-ed25519 " + kFirst + "\n";
  const KeyFinding found = of(text).look("node1", 22, key(kFirst));
  EXPECT_EQ(found.verdict, KeyVerdict::revoked);
  EXPECT_EQ(found.place, place(2));
  EXPECT_EQ(verdict(text, "node1", 22, kSecond), KeyVerdict::changed);
  EXPECT_EQ(verdict("@revoked node1 ssh-ed25519 " + kFirst + "\n", "node1", 22, kSecond),
            KeyVerdict::unknown);
}

TEST_F(KnownHostsTest, LinesThatCannotBeReadArePassedOver) {
  const std::string text = "node1\nnode1 ssh-ed25519\nnode1 ssh-ed25519 AAAA\nnode1 ssh-rsa " + kFirst +
                           "\n@cert-authority node1 ssh-ed25519 " + kSecond + "\n|1|x node1 ssh-ed25519 " +
                           kFirst + "\n@revoked\n\n \t\nnode1 ssh-ed25519 " + kFirst + "\n";
  EXPECT_EQ(of(text).look("node1", 22, key(kFirst)).place, place(10));
  EXPECT_EQ(verdict(text, "node1", 22, kSecond), KeyVerdict::changed);
}

TEST_F(KnownHostsTest, NoDamageToALineMakesAnotherKeyKnown) {
  const std::string line = "node1 ssh-ed25519 " + kFirst + "\n";
  for (size_t at = 0; at < line.size(); ++at) {
    EXPECT_NE(verdict(line.substr(0, at), "node1", 22, kSecond), KeyVerdict::known);
    std::string flipped = line;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_NE(verdict(flipped, "node1", 22, kSecond), KeyVerdict::known);
  }
}

TEST_F(KnownHostsTest, AllFilesCountAndAbsentOnesAreEmpty) {
  const fs::path mine = dir.file("mine", "node1 ssh-ed25519 " + kFirst + "\n");
  const fs::path store = dir.file("store", "node1 ssh-ed25519 " + kSecond + "\n");
  Result<KnownHosts> known = KnownHosts::read({mine, dir / "absent", "/dev/null", store});
  ASSERT_TRUE(known) << known.error().message;
  EXPECT_EQ(known->look("node1", 22, key(kFirst)).verdict, KeyVerdict::known);
  EXPECT_EQ(known->look("node1", 22, key(kSecond)).verdict, KeyVerdict::known);
}

TEST_F(KnownHostsTest, ARecordedKeyIsKnownReplacesOnlyItsLikeAndIsPrivate) {
  const fs::path file = dir / "state" / "known_hosts";
  ASSERT_TRUE(record_host_key(file, "Node1", 2222, key(kFirst)));
  ASSERT_TRUE(record_host_key(file, "node1", 22, key(kFirst)));
  ASSERT_TRUE(record_host_key(file, "node1", 22, key(kEcdsa)));
  ASSERT_TRUE(record_host_key(file, "node1", 22, key(kSecond)));
  EXPECT_EQ(read_file(file).value_or(""), "[node1]:2222 ssh-ed25519 " + kFirst +
                                              "\nnode1 ecdsa-sha2-nistp256 " + kEcdsa +
                                              "\nnode1 ssh-ed25519 " + kSecond + "\n");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace gnnflow
