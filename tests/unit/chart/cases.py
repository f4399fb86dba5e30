"""Values that switch one thing each, and a few that people set together."""

from typing import Any, Final

Values = dict[str, Any]

CASES: Final[dict[str, Values]] = {
    "image-by-digest": {
        "image": {"repository": "registry.example.com/modelward", "digest": f"sha256:{'0a' * 32}"}
    },
    "image-of-a-private-registry": {
        "image": {
            "repository": "registry.example.com:5000/team/modelward",
            "tag": "0.2.0",
            "pullPolicy": "Always",
            "pullSecrets": ["registry"],
        }
    },
    "three-replicas": {"replicas": 3},
    "stopped": {"replicas": 0},
    "one-without-a-lease": {"replicas": 1, "settings": {"leaderElection": {"enabled": False}}},
    "another-lease": {"settings": {"leaderElection": {"name": "team-models"}}},
    "settings": {
        "settings": {
            "workers": 32,
            "resyncSeconds": 30,
            "log": {"level": "DEBUG", "format": "text"},
            "rollouts": {"maxConcurrent": 100000},
        }
    },
    "metric-source": {
        "settings": {
            "metrics": {
                "sources": [
                    {
                        "name": "prometheus",
                        "url": "https://prometheus.monitoring:9090",
                        "tokenFile": "/etc/prometheus/token",
                    }
                ]
            }
        },
        "extraVolumes": [{"name": "prometheus", "secret": {"secretName": "prometheus-token"}}],
        "extraVolumeMounts": [{"name": "prometheus", "mountPath": "/etc/prometheus", "readOnly": True}],
        "networkPolicy": {
            "extraEgress": [
                {
                    "to": [
                        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
                    ],
                    "ports": [{"protocol": "TCP", "port": 9090}],
                }
            ]
        },
    },
    "named-namespaces": {"settings": {"namespaces": ["team-a", "team-b"]}},
    "named-namespaces-and-nothing-else": {
        "settings": {"namespaces": ["team-a"], "clusterRuntimes": False},
        "crds": {"install": False},
        "userRoles": {"create": False},
        "priorityClass": {"create": False, "name": ""},
    },
    "resources": {"resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "2Gi"}}},
    "placement": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["infra"]}]}
                    ]
                }
            }
        },
    },
    "spread-over-zones": {
        "topologySpread": {
            "topologyKeys": ["kubernetes.io/hostname", "topology.kubernetes.io/zone"],
            "whenUnsatisfiable": "DoNotSchedule",
        }
    },
    "no-spread": {"topologySpread": {"topologyKeys": []}},
    "priority-class-of-the-cluster": {"priorityClass": {"create": False, "name": "system-cluster-critical"}},
    "priority": {"priorityClass": {"name": "operators", "value": 1_000_000_000}},
    "no-disruption-budget": {"podDisruptionBudget": {"enabled": False}},
    "no-network-policy": {"networkPolicy": {"enabled": False}},
    "scraped-by-nobody": {"networkPolicy": {"monitoringNamespace": ""}},
    "scraped-by-selected": {
        "networkPolicy": {"monitoringNamespaceSelector": {"matchLabels": {"purpose": "monitoring"}}}
    },
    "account-of-another": {
        "serviceAccount": {"create": False, "name": "shared"},
        "policies": {"confinement": True, "snapshots": True},
    },
    "account-with-annotations": {"serviceAccount": {"annotations": {"example.com/role": "modelward"}}},
    "no-rights": {"rbac": {"create": False}},
    "no-gateway": {"rbac": {"gateway": False}},
    "no-roles-for-people": {"userRoles": {"create": False}},
    "roles-for-people-not-aggregated": {"userRoles": {"aggregateView": False, "aggregateEdit": False}},
    "policies": {
        "policies": {"serviceAccounts": True, "confinement": True, "snapshots": True, "adoption": True}
    },
    "no-crds": {"crds": {"install": False}},
    "service-monitor": {
        "serviceMonitor": {"enabled": True, "intervalSeconds": 15, "labels": {"release": "prometheus"}}
    },
    "labels-and-annotations": {
        "labels": {"team": "ml", "app.kubernetes.io/name": "something-else"},
        "annotations": {"example.com/contact": "ml@example.com"},
        "podLabels": {"mesh": "in", "app.kubernetes.io/name": "something-else"},
        "podAnnotations": {"example.com/scrape": "true"},
    },
    "part-of-another-chart": {"global": {"imageRegistry": "registry.example.com"}},
}
"""Each has a snapshot of what it changes."""
