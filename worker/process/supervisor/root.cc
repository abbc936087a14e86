#include "worker/process/supervisor/root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::process {
namespace {

// Programs and what they need to run. A name that is a link on this machine is one inside.
constexpr const char* kPrograms[] = {"/usr",   "/bin",   "/sbin",  "/lib",
                                     "/lib32", "/lib64", "/libx32"};
// Of /etc what says how programs run and how names are found; nothing that may hold a secret.
constexpr const char* kSettings[] = {"alternatives",    "ca-certificates",
                                     "crypto-policies", "debian_version",
                                     "fonts",           "group",
                                     "host.conf",       "hosts",
                                     "inputrc",         "ld.so.cache",
                                     "ld.so.conf",      "ld.so.conf.d",
                                     "ld.so.preload",   "locale.alias",
                                     "locale.conf",     "localtime",
                                     "magic",           "mime.types",
                                     "nsswitch.conf",   "os-release",
                                     "passwd",          "perl",
                                     "pki/tls/certs",   "pki/ca-trust",
                                     "profile",         "profile.d",
                                     "protocols",       "python3",
                                     "resolv.conf",     "rpc",
                                     "services",        "shells",
                                     "ssl/certs",       "ssl/openssl.cnf",
                                     "ssl/cert.pem",    "terminfo",
                                     "timezone"};
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom"};
struct Link {
  const char* name;
  const char* target;
};
constexpr Link kDeviceLinks[] = {{"/dev/fd", "/proc/self/fd"},
                                 {"/dev/stdin", "/proc/self/fd/0"},
                                 {"/dev/stdout", "/proc/self/fd/1"},
                                 {"/dev/stderr", "/proc/self/fd/2"}};

constexpr char kMeanwhile[] = "/usr";  // where the new root stands until it is the root
constexpr char kOldRoot[] = "/.old";
constexpr char kSmallFolder[] = "mode=0755,size=1m,nr_inodes=4k";
constexpr char kTemporaryFolder[] = "mode=1777,size=2g,nr_inodes=512k";

constexpr std::uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr std::uint64_t kWritable = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
// For a single device or what is read only already.
constexpr std::uint64_t kDevice = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

absl::Status Errno(std::string_view what) { return absl::ErrnoToStatus(errno, AbslView(what)); }

// A part of the machine's tree, to be put into the new one.
struct Piece {
  std::string path;  // the same inside
  Fd tree;
  bool is_folder = true;
};

absl::StatusOr<Piece> Take(const std::string& path, std::uint64_t attributes, int id_map,
                           std::uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = resolve;
  const Fd at(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  if (!at.valid() && errno == ELOOP)
    return absl::InvalidArgumentError(path + ": got a symbolic link in it, want the real path");
  struct stat status{};
  if (!at.valid() || fstat(at.get(), &status) != 0) return Errno(path);
  Piece piece{path,
              Fd(open_tree(at.get(), "",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE)),
              S_ISDIR(status.st_mode)};
  if (!piece.tree.valid()) return Errno(path);
  mount_attr wanted{};
  wanted.attr_set = attributes | (id_map < 0 ? 0 : MOUNT_ATTR_IDMAP);
  wanted.userns_fd = static_cast<std::uint64_t>(id_map < 0 ? 0 : id_map);
  if (mount_setattr(piece.tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &wanted, sizeof(wanted)) !=
      0)
    return Errno(path + (id_map < 0 ? "" : ": the file system cannot map its owner to the child"));
  return piece;
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? absl::InternalError(Cat(path, ": ", error.message())) : absl::OkStatus();
}

absl::Status Put(const Piece& piece) {
  struct stat status{};
  if (lstat(piece.path.c_str(), &status) != 0) {
    if (piece.is_folder) {
      CAPSTAN_RETURN_IF_ERROR(MakeFolders(piece.path));
    } else {
      CAPSTAN_RETURN_IF_ERROR(MakeFolders(std::filesystem::path(piece.path).parent_path()));
      const Fd file(open(piece.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
      if (!file.valid()) return Errno(piece.path);
    }
  }
  if (move_mount(piece.tree.get(), "", AT_FDCWD, piece.path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0)
    return absl::OkStatus();
  return Errno(piece.path);
}

struct Tree {
  std::vector<Piece> pieces;
  std::vector<std::pair<std::string, std::string>> links;
};

absl::Status TakePrograms(Tree& tree) {
  for (const char* path : kPrograms) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(path, error);
    if (!error) {
      tree.links.emplace_back(path, target);
    } else if (access(path, F_OK) == 0) {
      CAPSTAN_ASSIGN_OR_RETURN(Piece piece, Take(path, kReadOnly, -1, 0));
      tree.pieces.push_back(std::move(piece));
    }
  }
  for (const char* name : kSettings) {
    const std::string path = Cat("/etc/", name);
    if (access(path.c_str(), F_OK) != 0) continue;
    CAPSTAN_ASSIGN_OR_RETURN(Piece piece, Take(path, kReadOnly, -1, 0));
    tree.pieces.push_back(std::move(piece));
  }
  for (const char* name : kDevices) {
    CAPSTAN_ASSIGN_OR_RETURN(Piece piece, Take(Cat("/dev/", name), kDevice, -1, 0));
    tree.pieces.push_back(std::move(piece));
  }
  return absl::OkStatus();
}

// What the order gives, outer folders before those inside them.
absl::Status TakeGiven(const Order& order, const IdMaps& maps, Tree& tree) {
  const Sandbox& sandbox = order.spec.sandbox;
  std::vector<std::pair<std::string, std::uint64_t>> given;
  for (const std::string& path : sandbox.readable) given.emplace_back(path, kReadOnly);
  for (const std::string& path : sandbox.writable) given.emplace_back(path, kWritable);
  std::stable_sort(given.begin(), given.end(),
                   [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
  constexpr std::uint64_t kResolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (const auto& [path, attributes] : given) {
    const int id_map = maps.For(path);
    absl::StatusOr<Piece> piece = Take(path, attributes, id_map, kResolve);
    // To read, what everybody may read has to do where the file system cannot map.
    if (!piece.ok() && id_map >= 0 && attributes == kReadOnly)
      piece = Take(path, attributes, -1, kResolve);
    if (!piece.ok()) return piece.status();
    tree.pieces.push_back(*std::move(piece));
  }
  return absl::OkStatus();
}

absl::Status Mount(const char* type, const char* path, unsigned long flags, const char* options) {
  CAPSTAN_RETURN_IF_ERROR(MakeFolders(path));
  return mount(type, path, type, flags, options) == 0 ? absl::OkStatus() : Errno(path);
}

// An empty tree becomes the root; the machine's stands in kOldRoot.
absl::Status TurnRoot() {
  CAPSTAN_RETURN_IF_ERROR(Mount("tmpfs", kMeanwhile, MS_NOSUID | MS_NODEV, kSmallFolder));
  if (chdir(kMeanwhile) != 0 || mkdir(kOldRoot + 1, 0700) != 0) return Errno("new root");
  if (syscall(SYS_pivot_root, ".", kOldRoot + 1) != 0 || chdir("/") != 0) return Errno("new root");
  return absl::OkStatus();
}

// A /proc of its own cannot be mounted in a container that hides parts of its /proc: then there is
// an empty folder.
absl::Status MountProc() {
  CAPSTAN_RETURN_IF_ERROR(MakeFolders("/proc"));
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "hidepid=2") ==
          0 ||
      errno == EPERM)
    return absl::OkStatus();
  return Errno("/proc");
}

absl::Status WriteSecret(const std::string& path, const std::string& text, const Order& order) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!file.valid()) return Errno(path);
  if (write(file.get(), text.data(), text.size()) != ssize_t(text.size())) return Errno(path);
  return fchown(file.get(), order.user, order.group) == 0 ? absl::OkStatus() : Errno(path);
}

absl::Status MountSecrets(const Order& order, const std::string& folder) {
  if (order.spec.secret_files.empty()) return absl::OkStatus();
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  CAPSTAN_RETURN_IF_ERROR(Mount("tmpfs", folder.c_str(), flags, "mode=0500,size=4m,nr_inodes=1k"));
  for (const auto& [name, text] : order.spec.secret_files)
    CAPSTAN_RETURN_IF_ERROR(WriteSecret(Cat(folder, "/", name), text, order));
  if (chown(folder.c_str(), order.user, order.group) != 0) return Errno(folder);
  if (mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, nullptr) !=
      0)
    return Errno(folder);
  return absl::OkStatus();
}

absl::Status MakePrivate() {
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? absl::OkStatus()
                                                                         : Errno("mounts");
}

absl::Status Close() {
  if (umount2(kOldRoot, MNT_DETACH) != 0 || rmdir(kOldRoot) != 0) return Errno("old root");
  mount_attr read_only{};
  read_only.attr_set = kReadOnly;
  return mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof(read_only)) == 0 ? absl::OkStatus()
                                                                             : Errno("new root");
}

}  // namespace

absl::Status EnterNewRoot(const Order& order, const IdMaps& maps) {
  CAPSTAN_RETURN_IF_ERROR(MakePrivate());
  umask(022);
  Tree tree;
  CAPSTAN_RETURN_IF_ERROR(TakePrograms(tree));
  CAPSTAN_RETURN_IF_ERROR(TakeGiven(order, maps, tree));
  CAPSTAN_RETURN_IF_ERROR(TurnRoot());
  CAPSTAN_RETURN_IF_ERROR(MountProc());
  CAPSTAN_RETURN_IF_ERROR(Mount("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, kTemporaryFolder));
  CAPSTAN_RETURN_IF_ERROR(Mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, kTemporaryFolder));
  for (const auto& [path, target] : tree.links) {
    if (symlink(target.c_str(), path.c_str()) != 0) return Errno(path);
  }
  for (const Link& link : kDeviceLinks) {
    if (symlink(link.target, link.name) != 0) return Errno(link.name);
  }
  for (const Piece& piece : tree.pieces) CAPSTAN_RETURN_IF_ERROR(Put(piece));
  CAPSTAN_RETURN_IF_ERROR(MountSecrets(order, kSecretsFolder));
  return Close();
}

absl::Status KeepRoot(const Order& order, const std::string& secrets_folder) {
  CAPSTAN_RETURN_IF_ERROR(MakePrivate());
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0 &&
      errno != EPERM)
    return Errno("/proc");
  return MountSecrets(order, secrets_folder);
}

std::vector<std::string> WritablePaths(const Order& order) {
  std::vector<std::string> paths = order.spec.sandbox.writable;
  paths.insert(paths.end(), {"/tmp", "/dev"});
  return paths;
}

}  // namespace capstan::process
