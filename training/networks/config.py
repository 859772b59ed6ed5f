"""Which network a run adapts and how it is fed: a closed union, told apart by `kind`."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from runtime.bundle.manifest import InputConvention
from runtime.config import StrictModel

__all__ = [
    "INPUT_CONVENTIONS",
    "SMP_ARGUMENTS",
    "Backbone",
    "DeepLabV2Config",
    "FactoryConfig",
    "Head",
    "InputName",
    "ModelConfig",
    "SmpConfig",
    "Trunk",
]

Hw = tuple[PositiveInt, PositiveInt]
Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Trunk = Literal["torchvision", "contracted", "caffe", "deep_stem"]
Head = Literal["sum", "module2", "module2_bn"]
InputName = Literal["rgb_imagenet", "bgr_caffe", "bgr_std", "rgb_unit"]

_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
INPUT_CONVENTIONS: dict[InputName, InputConvention] = {
    "rgb_imagenet": InputConvention(channel_order="rgb", mean=_MEAN, std=_STD),
    "bgr_caffe": InputConvention(
        channel_order="bgr", mean=(104.00698793, 116.66876762, 122.67891434), std=(1.0, 1.0, 1.0)
    ),
    # ImageNet's RGB constants on BGR channels is what CRST's code does, not a slip of ours.
    "bgr_std": InputConvention(channel_order="bgr", mean=_MEAN, std=_STD),
    # ProDA's code: values of 0..1, no mean subtracted.
    "rgb_unit": InputConvention(channel_order="rgb", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
}
SMP_ARGUMENTS = frozenset(
    {"arch", "encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}
)
"""What `smp.create_model` is given by the run, or must not be given: logits are wanted plain and alone."""


class _Fed(StrictModel):
    """What a network is shown, whatever it is."""

    input: InputName | InputConvention = "rgb_imagenet"
    """A convention by name, or `channel_order`, `mean` and `std` of your own."""
    network_hw: Hw
    """Height and width the network sees at evaluation and in the vehicle."""

    @property
    def convention(self) -> InputConvention:
        """How pixel values become network input."""
        return self.input if isinstance(self.input, InputConvention) else INPUT_CONVENTIONS[self.input]


class DeepLabV2Config(_Fed):
    """DeepLabV2 on a ResNet."""

    kind: Literal["deeplab_v2"]
    backbone: Backbone
    trunk: Trunk = "torchvision"
    """Whose form of the ResNet, which its weights do not tell. `caffe` strides on the first 1x1 convolution and pools
    rounding up, as most public checkpoints need; `contracted` halves the dilation of the first block of layer3 and
    layer4 (FADA and its heirs); `deep_stem` does so behind three 3x3 convolutions (mmsegmentation's ResNetV1c)."""
    branches: Literal[2, 4] = 4
    """Dilated classifiers that are summed; many public checkpoints trained two of their four."""
    head: Head = "sum"
    """`module2` is ProDA's classifier, `module2_bn` the same behind a batch norm of its own."""
    imagenet: bool = False
    """Start the trunk from torchvision's ImageNet weights; downloads them."""
    zero_init_residual: bool = False
    """Start every block of a random trunk as an identity, so that a deep one learns within few steps."""

    @model_validator(mode="after")
    def _can_be_built(self) -> "DeepLabV2Config":
        if self.trunk != "torchvision" and self.backbone in ("resnet18", "resnet34"):
            raise ValueError(
                f"trunk={self.trunk} is a form of bottleneck blocks, which backbone={self.backbone} does not have; "
                "use resnet50 or resnet101, or trunk: torchvision"
            )
        if self.imagenet and self.trunk in ("caffe", "deep_stem"):
            raise ValueError(
                f"imagenet=true gives torchvision's weights, trained with the stride on the 3x3 convolution behind a "
                f"7x7 stem; trunk={self.trunk} has another form. Use trunk: torchvision, or give weights of this form "
                "as source.start_from"
            )
        if self.imagenet and self.zero_init_residual:
            raise ValueError(
                "zero_init_residual=true is for random weights, and imagenet=true takes their place; leave one out"
            )
        if self.head != "sum" and self.branches != 4:
            raise ValueError(f"branches={self.branches} are of head: sum; leave it out with head: {self.head}")
        return self


class SmpConfig(_Fed):
    """A network of segmentation-models-pytorch, by the names of its architecture and encoder."""

    kind: Literal["smp"]
    architecture: str
    """As `smp.create_model` knows it: segformer, unet, deeplabv3plus, fpn and others."""
    encoder: str
    """Such as mit_b0, resnet34 or tu-convnext_tiny."""
    options: dict[str, Any] = Field(default_factory=dict)
    """More arguments for `smp.create_model`, such as `decoder_segmentation_channels`."""
    feature_layer: str = Field(default="decoder", min_length=1)
    """Dotted name of the module whose output the prototypes are made of."""
    imagenet: bool = False
    """Start the encoder from its ImageNet weights; downloads them."""

    @field_validator("options")
    @classmethod
    def _leaves_our_arguments_alone(cls, options: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(options.keys() & SMP_ARGUMENTS):
            raise ValueError(
                f"{taken[0]} is not an option: the names, classes and weights come from model.architecture, "
                "model.encoder, label_space and model.imagenet, and the network has to return plain logits; remove it"
            )
        return options


class FactoryConfig(_Fed):
    """A network of your own: `factory` is called with `num_classes` and `arguments` and returns an `nn.Module`."""

    kind: Literal["factory"]
    factory: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:function`, importable where the command runs."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """More keyword arguments, as YAML gives them: numbers, texts, lists and mappings."""
    feature_layer: str = Field(min_length=1)
    """Dotted name of the module whose output the prototypes are made of."""
    logits: str | int | None = None
    """Key, attribute or index of the logits in what the network returns; None takes `out`, `logits` or the first."""
    head_layer: str = ""
    """Dotted name of the classifier, which learns at `head_multiplier` times the rate; empty: nothing does."""
    align_corners: bool = False
    """How the logits were upsampled when the network was trained."""
    size_multiple: PositiveInt = 1
    """Height and width of an input must be multiples of this."""
    channels_last: bool = False
    """Compute on channels-last memory, often faster; code that calls `view` on feature maps cannot."""

    @field_validator("arguments")
    @classmethod
    def _leaves_the_classes_alone(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if "num_classes" in arguments:
            raise ValueError("num_classes is not an argument to give: it comes from label_space; remove it")
        return arguments


ModelConfig = Annotated[DeepLabV2Config | SmpConfig | FactoryConfig, Field(discriminator="kind")]
