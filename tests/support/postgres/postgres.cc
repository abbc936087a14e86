#include "tests/support/postgres/postgres.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"
#include "storage/store.h"

namespace capstan::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr char kTemplate[] = "capstan_template";

std::string Program(const std::string& name) {
  for (int version = 20; version >= 15; --version) {
    const std::string path = absl::StrCat("/usr/lib/postgresql/", version, "/bin/", name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return name;  // on PATH
}

// In the child: becomes the unprivileged user (Postgres refuses root), dies with its parent, and
// runs the program.
[[noreturn]] void Become(const std::vector<std::string>& command, const std::string& log,
                         bool die_with_parent) {
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
  }
  // After the change of user, which clears it. SIGQUIT is Postgres' immediate shutdown.
  if (die_with_parent) prctl(PR_SET_PDEATHSIG, SIGQUIT);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  std::vector<char*> args;
  for (const std::string& arg : command) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  if (chdir("/") != 0) _exit(126);
  execvp(args[0], args.data());
  _exit(127);
}

pid_t Spawn(const std::vector<std::string>& command, const std::string& log, bool die_with_parent) {
  const pid_t pid = fork();
  if (pid == 0) Become(command, log, die_with_parent);
  return pid;
}

std::string Tail(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  return all.size() > 2000 ? all.substr(all.size() - 2000) : all;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  CAPSTAN_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  CAPSTAN_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const std::size_t end = line.rfind(')');
    if (end == std::string::npos) continue;
    char state = 0;
    int ppid = 0;
    if (std::sscanf(line.c_str() + end + 1, " %c %d", &state, &ppid) == 2 && ppid == parent)
      children.push_back(pid);
  }
  return children;
}

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};

}  // namespace

absl::StatusOr<SqlRows> RunSql(const std::string& dsn, const std::string& sql) {
  const std::unique_ptr<PGconn, Finish> connection(PQconnectdb(dsn.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK)
    return absl::UnavailableError(PQerrorMessage(connection.get()));
  const std::unique_ptr<PGresult, Finish> result(PQexec(connection.get(), sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    return absl::InternalError(PQerrorMessage(connection.get()));
  }
  SqlRows rows(static_cast<std::size_t>(PQntuples(result.get())));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (int c = 0; c < PQnfields(result.get()); ++c) {
      rows[r].emplace_back(PQgetvalue(result.get(), static_cast<int>(r), c));
    }
  }
  return rows;
}

SqlRows MustRunSql(const std::string& dsn, const std::string& sql) {
  absl::StatusOr<SqlRows> rows = RunSql(dsn, sql);
  if (!rows.ok()) {
    std::fprintf(stderr, "SQL failed: %s\n%s\n", rows.status().ToString().c_str(), sql.c_str());
    std::abort();
  }
  return *std::move(rows);
}

std::string SqlValue(const std::string& dsn, const std::string& sql) {
  const SqlRows rows = MustRunSql(dsn, sql);
  return rows.empty() ? "" : rows[0][0];
}

absl::StatusOr<std::unique_ptr<TestPostgres>> TestPostgres::Start(const Options& options) {
  std::unique_ptr<TestPostgres> postgres(new TestPostgres);
  CAPSTAN_RETURN_IF_ERROR(postgres->Init(options));
  CAPSTAN_RETURN_IF_ERROR(postgres->Launch());
  return postgres;
}

TestPostgres& TestPostgres::Shared() {
  static const std::unique_ptr<TestPostgres> shared = [] {
    auto started = Start();
    if (!started.ok()) {
      std::fprintf(stderr, "Postgres for tests: %s\n", started.status().ToString().c_str());
      std::abort();
    }
    return *std::move(started);
  }();
  return *shared;
}

absl::Status TestPostgres::Init(const Options& options) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "capstan-postgres-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return absl::InternalError("no temporary directory");
  directory_ = pattern;
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr)
      return absl::FailedPreconditionError("there is no user `postgres` to run Postgres as");
    if (chown(directory_.c_str(), user->pw_uid, user->pw_gid) != 0)
      return absl::InternalError("chown");
  }
  const std::string log = directory_ + "/initdb.log";
  const pid_t pid =
      Spawn({Program("initdb"), "--pgdata", directory_ + "/data", "--auth", "trust", "--username",
             "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"},
            log, true);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0)
    return absl::InternalError("initdb: " + Tail(log));
  std::ofstream conf(directory_ + "/data/postgresql.conf", std::ios::app);
  conf << "listen_addresses = '127.0.0.1'\nunix_socket_directories = '" << directory_
       << "'\nmax_connections = 200\n"
       << "logging_collector = off\nlog_min_messages = warning\n";
  for (const auto& [name, value] : options.settings) conf << name << " = '" << value << "'\n";
  return conf.good() ? absl::OkStatus() : absl::InternalError("postgresql.conf");
}

absl::Status TestPostgres::Launch() {
  if (port_ == 0) port_ = FreePort();
  const std::string log = directory_ + "/postgres.log";
  const absl::Time deadline = absl::Now() + kStartTimeout;
  const std::string dsn = Dsn("postgres");
  server_ = -1;
  while (absl::Now() < deadline) {
    if (server_ < 0) {
      server_ = Spawn({Program("postgres"), "-D", directory_ + "/data", "-p", absl::StrCat(port_)},
                      log, true);
    }
    if (PQping(dsn.c_str()) == PQPING_OK) return absl::OkStatus();
    // Right after Kill9() the last backend may still hold the shared memory: then the server ends,
    // and is tried again.
    if (waitpid(server_, nullptr, WNOHANG) == server_) server_ = -1;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::DeadlineExceededError("postgres did not start: " + Tail(log));
}

TestPostgres::~TestPostgres() {
  if (server_ > 0) {
    kill(server_, SIGQUIT);
    waitpid(server_, nullptr, 0);
  }
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string TestPostgres::Dsn(const std::string& database, bool tcp) const {
  return absl::StrCat("host=", tcp ? "127.0.0.1" : directory_, " port=", port_,
                      " user=postgres dbname=", database);
}

std::string TestPostgres::NewEmptyDatabase() {
  absl::MutexLock lock(&mu_);
  const std::string name = absl::StrCat("test_", ++databases_);
  MustRunSql(Dsn("postgres"), absl::StrCat("CREATE DATABASE ", name));
  return Dsn(name);
}

std::string TestPostgres::NewDatabase() {
  absl::MutexLock lock(&mu_);
  if (!has_template_) {
    MustRunSql(Dsn("postgres"), absl::StrCat("CREATE DATABASE ", kTemplate));
    storage::StoreOptions options;
    options.dsn = Dsn(kTemplate);
    const absl::StatusOr<int> version = storage::Migrate(options);
    if (!version.ok()) std::fprintf(stderr, "migrate: %s\n", version.status().ToString().c_str());
    CAPSTAN_CHECK(version.ok());
    has_template_ = true;
  }
  const std::string name = absl::StrCat("test_", ++databases_);
  MustRunSql(Dsn("postgres"), absl::StrCat("CREATE DATABASE ", name, " TEMPLATE ", kTemplate));
  return Dsn(name);
}

void TestPostgres::Kill9() {
  if (server_ <= 0) return;
  kill(server_, SIGSTOP);  // it starts no more children
  for (const pid_t child : ChildrenOf(server_)) kill(child, SIGKILL);
  kill(server_, SIGKILL);
  waitpid(server_, nullptr, 0);
  server_ = -1;
}

absl::Status TestPostgres::Restart() {
  Kill9();
  return Launch();
}

}  // namespace capstan::testing
