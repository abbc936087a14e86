// What the tests of the simulated cluster share: calls by plain libcurl, a clock moved by hand, a
// fixture.
#pragma once

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/kubesim.h"
#include "tests/support/kubesim/text.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace capstan::kubesim {

inline constexpr char kNamespace[] = "capstan-actions";
inline constexpr char kJobs[] = "/apis/batch/v1/namespaces/capstan-actions/jobs";
inline constexpr char kJobWatch[] = "/apis/batch/v1/namespaces/capstan-actions/jobs?watch=1";
inline constexpr char kPods[] = "/api/v1/namespaces/capstan-actions/pods";
inline constexpr char kJsonPatch[] = "application/json-patch+json";
inline constexpr char kMergePatch[] = "application/merge-patch+json";

struct Reply {
  CURLcode curl = CURLE_OK;
  long code = 0;
  std::string text;
  std::string headers;

  Json json() const { return Json::parse(text, nullptr, false); }
};

inline size_t Append(char* data, size_t size, size_t count, void* text) {
  static_cast<std::string*>(text)->append(data, size * count);
  return size * count;
}

// One call on a connection of its own.
inline Reply Call(const std::string& method, const std::string& url, const std::string& body = "",
                  const std::string& content_type = "application/json",
                  const std::string& extra_header = "") {
  Reply reply;
  CURL* curl = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, ("Content-Type: " + content_type).c_str());
  if (!extra_header.empty()) headers = curl_slist_append(headers, extra_header.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (!body.empty()) curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.text);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply.headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  reply.curl = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.code);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return reply;
}

inline Json JobJson(const std::string& name, const std::vector<std::string>& command,
                    bool suspend = true) {
  Json container = {{"name", "main"}, {"image", "registry.example/kubectl:1.34"}};
  container["command"] = command;
  return {{"apiVersion", "batch/v1"},
          {"kind", "Job"},
          {"metadata",
           {{"name", name},
            {"labels", {{"app", "capstan"}, {"run", name}}},
            {"annotations", {{"armed", "false"}}}}},
          {"spec",
           {{"suspend", suspend},
            {"backoffLimit", 0},
            {"template",
             {{"spec", {{"restartPolicy", "Never"}, {"containers", Json::array({container})}}}}}}}};
}

inline const std::vector<std::string> kScaleTo3 = {"kubectl",      "scale", "--namespace=default",
                                                   "--replicas=3", "--",    "deployment/web"};

class KubeSimTest : public ::testing::Test {
 protected:
  void SetUp() override { StartSim(KubeSimOptions()); }

  void StartSim(KubeSimOptions options) {
    sim_.reset();
    options.namespaces = {kNamespace};
    options.http_threads = 16;
    auto started = KubeSim::Start(std::move(options));
    ASSERT_OK(started);
    sim_ = *std::move(started);
  }

  std::string Url(const std::string& path) { return sim_->Url() + path; }
  Reply Get(const std::string& path) { return Call("GET", Url(path)); }
  Reply CreateJob(const Json& job) { return Call("POST", Url(kJobs), job.dump()); }
  std::string UidOf(const std::string& job) {
    return sim_->Get("jobs", kNamespace, job)["metadata"]["uid"];
  }
  Reply Arm(const std::string& job, const std::string& uid) {
    Json patch = {{{"op", "test"}, {"path", "/metadata/uid"}, {"value", uid}},
                  {{"op", "test"}, {"path", "/metadata/annotations/armed"}, {"value", "false"}},
                  {{"op", "replace"}, {"path", "/metadata/annotations/armed"}, {"value", "true"}},
                  {{"op", "replace"}, {"path", "/spec/suspend"}, {"value", false}}};
    return Call("PATCH", Url(Cat(kJobs, "/", job)), patch.dump(), kJsonPatch);
  }
  bool WaitForCondition(const std::string& job, const std::string& condition) {
    return sim_->WaitFor([&] { return sim_->JobHas(kNamespace, job, condition); });
  }
  Json ConditionOf(const std::string& job, const std::string& type) {
    Json object = sim_->Get("jobs", kNamespace, job);
    for (const Json& condition : object["status"]["conditions"]) {
      if (condition["type"] == type) return condition;
    }
    return nullptr;
  }
  // A watch in the background; its lines come when it ends.
  std::future<Reply> Watch(const std::string& path, int already_open = 0) {
    auto watch = std::async(std::launch::async, [url = Url(path)] { return Call("GET", url); });
    EXPECT_TRUE(sim_->WaitFor([&] { return sim_->OpenWatches() == already_open + 1; }));
    return watch;
  }
  static std::vector<Json> Lines(const Reply& reply) {
    std::vector<Json> lines;
    for (const std::string& line : Split(reply.text, '\n')) {
      if (!line.empty()) lines.push_back(Json::parse(line));
    }
    return lines;
  }
  static std::vector<std::string> Types(const Reply& reply) {
    std::vector<std::string> types;
    for (const Json& line : Lines(reply)) types.push_back(line["type"]);
    return types;
  }
  std::string Revision() { return Get(kJobs).json()["metadata"]["resourceVersion"]; }

  testing::ManualClock clock_;
  std::unique_ptr<KubeSim> sim_;
};

}  // namespace capstan::kubesim
