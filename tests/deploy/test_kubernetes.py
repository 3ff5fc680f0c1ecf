"""The manifests of deploy/k8s against the programs, the settings and the image."""

import re

import pytest

from parts import CHECKOUT, Dockerfile, check_command, document, documents, key_values, processes, settings, text

DIRECTORY = "deploy/k8s"
KUSTOMIZATION = document(f"{DIRECTORY}/kustomization.yaml")
PATCHES = {patch["path"]: document(f"{DIRECTORY}/{patch['path']}") for patch in KUSTOMIZATION["patches"]}
RESOURCES = [one for path in KUSTOMIZATION["resources"] for one in documents(f"{DIRECTORY}/{path}")]
SECRETS = {secret["metadata"]["name"]: secret["stringData"] for secret in documents(f"{DIRECTORY}/secret.example.yaml")}
NOT_APPLIED = {"kustomization.yaml", "secret.example.yaml"}


def of_kind(*kinds):
    return [one for one in RESOURCES if one["kind"] in kinds]


def pod_of(resource):
    spec = resource["spec"]
    return (spec["jobTemplate"]["spec"] if resource["kind"] == "CronJob" else spec)["template"]["spec"]


def container_of(resource):
    [container] = pod_of(resource)["containers"]
    assert container["name"] == "main"  # the name by which patches meet it
    return container


def name_of(resource):
    return resource["metadata"]["name"]


WORKERS = of_kind("StatefulSet")
SERVERS = [*WORKERS, *of_kind("Deployment")]
ALL = [*SERVERS, *of_kind("Job", "CronJob")]


def test_every_file_is_used():
    there = {path.name for path in (CHECKOUT / DIRECTORY).glob("*.yaml")}
    assert there == {*KUSTOMIZATION["resources"], *PATCHES, *NOT_APPLIED}


def test_every_process_runs():
    assert sorted(map(name_of, SERVERS)) == sorted(processes())
    assert [name_of(one) for one in of_kind("Deployment")] == ["gateway"]


@pytest.mark.parametrize("resource", ALL, ids=name_of)
def test_a_pod_runs_what_the_image_holds(resource):
    container = container_of(resource)
    check_command(container["command"])
    assert container["image"] in [image["name"] for image in KUSTOMIZATION["images"]]
    if resource in SERVERS:
        assert container["command"] == [name_of(resource)]


@pytest.mark.parametrize("resource", SERVERS, ids=name_of)
def test_pods_are_found_and_spared(resource):
    name = {"app.kubernetes.io/name": name_of(resource)}
    assert resource["spec"]["selector"]["matchLabels"] == name
    assert resource["spec"]["template"]["metadata"]["labels"] == name
    [budget] = [one for one in of_kind("PodDisruptionBudget") if name_of(one) == name_of(resource)]
    assert budget["spec"]["selector"]["matchLabels"] == name


def test_everything_given_is_a_setting():
    given = set(key_values(text(f"{DIRECTORY}/settings.env")))
    given |= {entry["name"] for patch in PATCHES.values() for entry in container_of(patch).get("env", [])}
    assert given <= settings().keys()
    assert {"CONTACTHUB_KAFKA", "CONTACTHUB_PG", "CONTACTHUB_JWT_KEY_FILE", "CONTACTHUB_INSTANCE"} <= given


def test_settings_and_secrets_are_those_that_pods_ask_for():
    pod = pod_of(PATCHES["pod.yaml"])
    [container] = pod["containers"]
    [settings_of] = KUSTOMIZATION["configMapGenerator"]
    assert container["envFrom"] == [{"configMapRef": {"name": settings_of["name"]}}]
    references = [(entry["name"], entry["valueFrom"]["secretKeyRef"]) for entry in container["env"]]
    assert [name for name, reference in references if reference["key"] != name] == []
    assert {reference["key"] for _, reference in references} <= set().union(*SECRETS.values())
    assert {reference["name"] for _, reference in references} == SECRETS.keys()
    assert {volume["secret"]["secretName"] for volume in pod["volumes"]} == SECRETS.keys()


def test_files_of_secrets_lie_where_settings_look_for_them():
    pod = pod_of(PATCHES["pod.yaml"])
    places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"]}
    assert places.keys() == volumes.keys()
    [item] = volumes["key"]["items"]
    assert item["key"] in SECRETS[volumes["key"]["secretName"]]
    assert key_values(text(f"{DIRECTORY}/settings.env"))["CONTACTHUB_JWT_KEY_FILE"] == f"{places['key']}/{item['path']}"
    [named] = set(re.findall(r"=(/etc/contacthub-kafka/[\w.]+)", text(f"{DIRECTORY}/README.md")))
    assert named in [f"{places['kafka']}/{name}" for name in SECRETS[volumes["kafka"]["secretName"]]]


def test_a_secret_that_few_need_may_be_absent():
    pod = pod_of(PATCHES["pod.yaml"])
    references = [entry["valueFrom"]["secretKeyRef"] for entry in pod["containers"][0]["env"]]
    optional = {reference["name"]: reference.get("optional", False) for reference in references}
    assert optional == {volume["secret"]["secretName"]: volume["secret"].get("optional", False) for volume in pod["volumes"]}
    assert optional == {"contacthub": False, "contacthub-kafka": True}


def test_a_worker_is_named_like_its_pod():
    [entry] = container_of(PATCHES["worker.yaml"])["env"]
    assert entry == {"name": "CONTACTHUB_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert PATCHES["worker.yaml"]["spec"]["serviceName"] in map(name_of, of_kind("Service"))


def test_patches_meet_every_pod():
    met = {(patch["path"], patch["target"]["kind"]) for patch in KUSTOMIZATION["patches"]}
    assert met == {("worker.yaml", "StatefulSet"), ("cronjob.yaml", "CronJob"), ("precedence.yaml", "Deployment"),
                   *(("pod.yaml", kind) for kind in ("StatefulSet", "Deployment", "Job"))}
    assert {one["kind"] for one in ALL} == {kind for _, kind in met}


def test_the_cron_jobs_pod_is_the_others():
    own, others = pod_of(PATCHES["cronjob.yaml"]), pod_of(PATCHES["pod.yaml"])
    del others["containers"][0]["resources"]
    assert own == others


def test_the_user_is_the_images():
    who = pod_of(PATCHES["pod.yaml"])["securityContext"]
    assert f"{who['runAsUser']}:{who['runAsGroup']}" == Dockerfile().user()


def test_probes_ask_for_routes_that_are_there():
    [gateway] = of_kind("Deployment")
    container = container_of(gateway)
    [port] = container["ports"]
    assert str(port["containerPort"]) == settings()["CONTACTHUB_LISTEN_PORT"]
    routes = set(re.findall(r'\.path = "(/health/\w+)"', text("gateway/routes.c")))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = container[probe]["httpGet"]
        assert get["port"] == port["name"] and get["path"].removeprefix("/hub/v1") in routes
    [service] = [one for one in of_kind("Service") if name_of(one) == "gateway"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    check_command(container["lifecycle"]["preStop"]["exec"]["command"])


def test_the_gateways_memory_holds_what_it_takes_before_it_refuses():
    """Two clients may fill what it has for bodies and for answers: that is to end in refusals, not in its end."""
    words = text("gateway/http.c")
    mebibytes = [int(re.search(rf"^#define {name} \(\(size_t\)(\d+) \* 1024 \* 1024\)", words, re.M)[1])
                 for name in ("BODIES_BYTES", "ANSWERS_BYTES")]
    [kibibytes] = re.findall(r'"queue.buffering.max.kbytes", "(\d+)"', text("common/kafka.c"))
    limit = container_of(PATCHES["precedence.yaml"])["resources"]["limits"]["memory"]
    assert limit.endswith("Gi") and int(limit[:-2]) * 1024 >= sum(mebibytes) + int(kibibytes) // 1024 + 128


def test_what_is_scaled_has_no_number_of_its_own():
    [scaler], [gateway] = of_kind("HorizontalPodAutoscaler"), of_kind("Deployment")
    assert scaler["spec"]["scaleTargetRef"]["name"] == name_of(gateway) and "replicas" not in gateway["spec"]
    partitions = key_values(text(f"{DIRECTORY}/settings.env"))
    fewest = min(int(partitions[f"CONTACTHUB_{of}_PARTITIONS"]) for of in ("CUSTOMER", "EVENT"))
    assert all(2 <= worker["spec"]["replicas"] <= fewest for worker in WORKERS)
