// Which file systems a state may lie on.
#include "orchestrator/store/state_folder.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

TEST(StateFolder, KnowsNetworkFileSystemsByNumber) {
  EXPECT_EQ(network_file_system(0x6969, ""), "NFS");
  EXPECT_EQ(network_file_system(0xFF534D42, ""), "CIFS");
  EXPECT_EQ(network_file_system(0xFE534D42, ""), "SMB2");
  EXPECT_EQ(network_file_system(0x0BD00BD0, ""), "Lustre");
  EXPECT_EQ(network_file_system(0xEF53, ""), std::nullopt) << "ext4";
  EXPECT_EQ(network_file_system(0x01021994, ""), std::nullopt) << "tmpfs";
}

TEST(StateFolder, TellsFuseFileSystemsApart) {
  EXPECT_EQ(network_file_system(0x65735546, "fuse.sshfs"), "fuse.sshfs");
  EXPECT_EQ(network_file_system(0x65735546, "fuseblk"), std::nullopt) << "NTFS on a local disk";
  EXPECT_EQ(network_file_system(0x65735546, "fuse.fuse-overlayfs"), std::nullopt);
}

TEST(StateFolder, FindsTheTypeOfAMount) {
  const std::string mounts =
      "22 1 98:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
      "40 22 0:45 / /mnt/far rw,nosuid - fuse.sshfs box:/data rw,user_id=0\n"
      "41 22 0:46 / /mnt/odd rw - \n"
      "short line\n";
  EXPECT_EQ(mounted_type(mounts, "98:0"), "ext4");
  EXPECT_EQ(mounted_type(mounts, "0:45"), "fuse.sshfs");
  EXPECT_EQ(mounted_type(mounts, "0:99"), "");
  for (size_t length = 0; length < mounts.size(); ++length)
    (void)mounted_type(mounts.substr(0, length), "0:46");
}

TEST(StateFolder, AllowsALocalFolderThatIsNotThereYet) {
  TempDir dir;
  Status status = refuse_network_file_system(dir / "not/yet/there");
  EXPECT_TRUE(status) << status.error().message;
}

}  // namespace
}  // namespace gnnflow
