#include "tests/support/kubesim/volumes.h"

#include "absl/strings/escaping.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

struct Source {
  const char* volume_field;
  const char* name_field;
  const char* plural;
};
constexpr Source kSources[] = {{"secret", "secretName", "secrets"},
                               {"configMap", "name", "configmaps"}};

const Json& List(const Json& object, std::initializer_list<const char*> path) {
  static const Json kEmpty = Json::array();
  const Json& list = At(object, path);
  return list.is_array() ? list : kEmpty;
}

Object Find(const ObjectStore& store, const Json& pod, const Source& source,
            const std::string& name) {
  return store.Get({FindResource(source.plural), TextAt(pod, {"metadata", "namespace"}), name});
}

std::string BytesOf(const Source& source, const Json& value) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  std::string bytes;
  if (std::string_view(source.plural) != "secrets" || !absl::Base64Unescape(text, &bytes)) {
    return text;
  }
  return bytes;
}

// File name -> bytes of one volume.
std::map<std::string, std::string> VolumeFiles(const ObjectStore& store, const Json& pod,
                                               const Json& volume) {
  std::map<std::string, std::string> files;
  for (const Source& source : kSources) {
    const std::string name = TextAt(volume, {source.volume_field, source.name_field});
    Object object = name.empty() ? nullptr : Find(store, pod, source, name);
    if (object == nullptr || !At(*object, {"data"}).is_object()) continue;
    const Json& data = At(*object, {"data"});
    const Json& items = List(volume, {source.volume_field, "items"});
    for (const Json& item : items) {
      files[TextAt(item, {"path"})] = BytesOf(source, At(data, {TextAt(item, {"key"}).c_str()}));
    }
    if (!items.empty()) continue;
    for (const auto& [key, value] : data.items()) files[key] = BytesOf(source, value);
  }
  return files;
}

}  // namespace

std::string MissingVolume(const ObjectStore& store, const Json& pod) {
  for (const Json& volume : List(pod, {"spec", "volumes"})) {
    for (const Source& source : kSources) {
      const std::string name = TextAt(volume, {source.volume_field, source.name_field});
      if (name.empty() || At(volume, {source.volume_field, "optional"}) == true) continue;
      if (Find(store, pod, source, name) != nullptr) continue;
      return Cat("MountVolume.SetUp failed for volume \"", TextAt(volume, {"name"}),
                 "\" : ", FindResource(source.plural)->singular, " \"", name, "\" not found");
    }
  }
  return "";
}

std::map<std::string, std::string> MountedFiles(const ObjectStore& store, const Json& pod,
                                                const Json& container) {
  std::map<std::string, std::string> files;
  for (const Json& mount : List(container, {"volumeMounts"})) {
    for (const Json& volume : List(pod, {"spec", "volumes"})) {
      if (TextAt(volume, {"name"}) != TextAt(mount, {"name"})) continue;
      for (auto& [name, bytes] : VolumeFiles(store, pod, volume)) {
        files[Cat(TextAt(mount, {"mountPath"}), "/", name)] = std::move(bytes);
      }
    }
  }
  return files;
}

}  // namespace capstan::kubesim
