"""Files in and out."""

from __future__ import annotations

import os
from pathlib import Path

from flwr_registry.records import ModelVersion
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.exchange.exporting import export
from flwr_registry.registry.exchange.importing import import_bundle
from flwr_registry.registry.exchange.mlflow_export import MlflowVersion, to_mlflow
from flwr_registry.registry.exchange.pulling import PulledVersion, pull
from flwr_registry.registry.exchange.signing import sign, verify_signature
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.validation import MetricRanges

__all__ = ["AsyncExchangeVerbs", "ExchangeVerbs"]

AnyPath = str | os.PathLike[str]


class ExchangeVerbs(BlockingRegistry):
    """The verbs that bring versions in and out."""

    def export(
        self,
        reference: str,
        path: AnyPath,
        *,
        to: str = "safetensors",
        overwrite: bool = False,
    ) -> Path:
        """Write a version into a file, verified on the way; it appears whole.

        Parameters
        ----------
        path : str or path
            Of the file; of a folder for ``"huggingface"``.
        to : {"safetensors", "torch", "huggingface", "bundle"}
            The stored file as it is; a state dict for ``torch.load`` with
            ``weights_only=True``; a folder with weights, ``config.json`` and a model
            card; or one file that `import_bundle` of another registry takes in.
        overwrite : bool
            Replace what is there; of a folder, the files of the same names.

        Returns
        -------
        Path
            The absolute path.

        Raises
        ------
        ExportError
            When the place is taken or cannot be written, or the format cannot hold the
            version.
        IntegrityError, StorageError
            When the stored bytes are damaged or gone.
        InvalidStateError
            When retention removed them.
        ValueError
            For another format.
        """
        place = Path(path).expanduser()
        return self._run(
            export(self.storage, reference, place, to, overwrite=overwrite)
        )

    def pull(
        self, reference: str, path: AnyPath, *, overwrite: bool = False
    ) -> PulledVersion:
        """Write the files of a version into a folder, for another program to serve.

        These are ``model.safetensors``, verified on the way; ``config.json``;
        ``README.md``, the model card; and ``version.json``, with the metrics and the
        SHA-256 of each file. Of a serialized XGBoost model also ``model.json`` or
        ``model.ubj``. A new folder appears whole or not at all; in one that is there,
        ``version.json`` comes last. Files with the same digest stay as they are; what
        an earlier pull of the same weights wrote about them is brought up to date.

        Parameters
        ----------
        path : str or path
            Of the folder.
        overwrite : bool
            Replace other files of these names.

        Raises
        ------
        ExportError
            When the folder has other files of these names, or cannot be written.
        IntegrityError, StorageError
            When the stored bytes are damaged or gone; nothing was written.
        InvalidStateError
            When retention removed them, or the version failed validation or is
            withdrawn.
        """
        place = Path(path).expanduser()
        return self._run(pull(self.storage, reference, place, overwrite=overwrite))

    def sign(
        self, reference: str, key: AnyPath, path: AnyPath, *, overwrite: bool = False
    ) -> ModelVersion:
        """Sign a version by OpenSSF model-signing (extra ``[signing]``).

        Signed is a folder with the file ``MODEL-VERSION.safetensors`` alone.

        Parameters
        ----------
        key : str or path
            Private key in PEM, of the curve P-256, P-384 or P-521.
        path : str or path
            Where to write the signature.
        overwrite : bool
            Replace the file that is there.

        Raises
        ------
        SealError
            When model-signing is not installed, or the key cannot be used.
        ExportError
            When the place is taken, or cannot be written.
        """
        return self._run(
            sign(
                self.storage,
                reference,
                Path(key).expanduser(),
                Path(path).expanduser(),
                overwrite=overwrite,
            )
        )

    def verify_signature(
        self, reference: str, signature: AnyPath, public_key: AnyPath
    ) -> ModelVersion:
        """See that a version has the content and the number that were signed.

        Neither the database nor the storage is trusted for that, only the key.

        Parameters
        ----------
        signature, public_key : str or path
            What `sign` wrote, and the public key of who did, in PEM.

        Raises
        ------
        SealError
            When it has not, or model-signing is not installed.
        """
        return self._run(
            verify_signature(
                self.storage,
                reference,
                Path(signature).expanduser(),
                Path(public_key).expanduser(),
            )
        )

    def import_bundle(
        self,
        path: AnyPath,
        *,
        model: str | None = None,
        actor: str | None = None,
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion:
        """Register the version in a bundle, with its round, metrics and contributors.

        Its digest is checked, its number kept, and its parent linked where this
        registry has it with the same bytes; otherwise the tag ``imported-parent`` names
        it. Its run is recorded as imported: no bundle adds to a run that this registry
        started. It is a candidate, whatever it was where it comes from; but failed,
        with the reasons, when it failed validation or was withdrawn there, or when
        weights or metrics are unfit here. Node ids become pseudonyms where this
        registry has a node key.

        Repeated, it changes nothing. But where the bytes of the version were removed by
        retention, or are lost or damaged, those of the bundle take their place, once
        their digest proves to be the version's.

        Parameters
        ----------
        model : str, optional
            Another name for the model.
        actor : str, optional
            Who imports; by default the operating system's user.
        metric_ranges : mapping of str to (low, high), optional
            As for `register`.

        Raises
        ------
        ExportError, IntegrityError
            When it is no sound bundle, or claims a run that was started here.
        DuplicateVersionError
            When its number is taken by other bytes.
        StorageError
            When the bytes could not be saved; nothing changed.
        InvalidNameError
            When it names its model or version as nothing can be named.
        StorageOwnerError
            When the storage is another registry's.
        """
        place, who = Path(path).expanduser(), current_actor(actor)
        return self._run(
            import_bundle(self._root, self._nodes, place, model, who, metric_ranges)
        )

    def to_mlflow(
        self,
        reference: str,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        name: str | None = None,
    ) -> MlflowVersion:
        """Copy a version with metrics, parameters and lineage into MLflow.

        It becomes a finished run and a version of a registered model; repeated, others
        of the same. MLflow shows as tags the digest and the version here.

        Parameters
        ----------
        tracking_uri : str, optional
            Of the tracking server or store; by default MLflow's own.
        experiment, name : str, optional
            Of experiment and registered model; by default the model's name.

        Raises
        ------
        ExportError
            When MLflow is not installed (the extra ``mlflow``), or refuses.
        """
        return self._run(
            to_mlflow(self.storage, reference, tracking_uri, experiment, name)
        )


class AsyncExchangeVerbs(AwaitedRegistry):
    """The verbs of `ExchangeVerbs`, awaited."""

    async def export(
        self,
        reference: str,
        path: AnyPath,
        *,
        to: str = "safetensors",
        overwrite: bool = False,
    ) -> Path:
        """Write a version into a file; see `ModelRegistry.export`."""
        place = Path(path).expanduser()
        return await self._run(
            export(self.storage, reference, place, to, overwrite=overwrite)
        )

    async def pull(
        self, reference: str, path: AnyPath, *, overwrite: bool = False
    ) -> PulledVersion:
        """Write the files of a version into a folder; see `ModelRegistry.pull`."""
        place = Path(path).expanduser()
        return await self._run(
            pull(self.storage, reference, place, overwrite=overwrite)
        )

    async def sign(
        self, reference: str, key: AnyPath, path: AnyPath, *, overwrite: bool = False
    ) -> ModelVersion:
        """Sign a version; see `ModelRegistry.sign`."""
        return await self._run(
            sign(
                self.storage,
                reference,
                Path(key).expanduser(),
                Path(path).expanduser(),
                overwrite=overwrite,
            )
        )

    async def verify_signature(
        self, reference: str, signature: AnyPath, public_key: AnyPath
    ) -> ModelVersion:
        """Check a signature; see `ModelRegistry.verify_signature`."""
        return await self._run(
            verify_signature(
                self.storage,
                reference,
                Path(signature).expanduser(),
                Path(public_key).expanduser(),
            )
        )

    async def import_bundle(
        self,
        path: AnyPath,
        *,
        model: str | None = None,
        actor: str | None = None,
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion:
        """Register the version in a bundle; see `ModelRegistry.import_bundle`."""
        place, who = Path(path).expanduser(), current_actor(actor)
        return await self._run(
            import_bundle(self._root, self._nodes, place, model, who, metric_ranges)
        )

    async def to_mlflow(
        self,
        reference: str,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        name: str | None = None,
    ) -> MlflowVersion:
        """Copy a version into MLflow; see `ModelRegistry.to_mlflow`."""
        return await self._run(
            to_mlflow(self.storage, reference, tracking_uri, experiment, name)
        )
