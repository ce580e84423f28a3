import pytest

from voxplain.population.region_names import region_key

# Columns of the HCP's table, beside the labels of FreeSurfer's segmentation that they stand for.
ASEG = {
    "FS_L_LatVent": "Left-Lateral-Ventricle",
    "FS_L_InfLatVent": "Left-Inf-Lat-Vent",
    "FS_L_Cerebellum_WM": "Left-Cerebellum-White-Matter",
    "FS_L_Cerebellum_Cort": "Left-Cerebellum-Cortex",
    "FS_L_ThalamusProper": "Left-Thalamus-Proper",
    "FS_L_Caudate": "Left-Caudate",
    "FS_L_Putamen": "Left-Putamen",
    "FS_L_Pallidum": "Left-Pallidum",
    "FS_3rdVent": "3rd-Ventricle",
    "FS_4thVent": "4th-Ventricle",
    "FS_5thVent": "5th-Ventricle",
    "FS_BrainStem": "Brain-Stem",
    "FS_L_Hippo": "Left-Hippocampus",
    "FS_L_Amygdala": "Left-Amygdala",
    "FS_CSF": "CSF",
    "FS_L_AccumbensArea": "Left-Accumbens-area",
    "FS_L_VentDC": "Left-VentralDC",
    "FS_L_Vessel": "Left-vessel",
    "FS_L_ChoroidPlexus": "Left-choroid-plexus",
    "FS_R_Cerebellum_Cort": "Right-Cerebellum-Cortex",
    "FS_R_Hippo": "Right-Hippocampus",
    "FS_WM_Hypointens": "WM-hypointensities",
    "FS_L_WM_Hypointens": "Left-WM-hypointensities",
    "FS_R_WM_Hypointens": "Right-WM-hypointensities",
    "FS_Non-WM_Hypointens": "non-WM-hypointensities",
    "FS_OpticChiasm": "Optic-Chiasm",
    "FS_CC_Posterior": "CC_Posterior",
    "FS_CC_MidPosterior": "CC_Mid_Posterior",
    "FS_CC_Central": "CC_Central",
    "FS_CC_MidAnterior": "CC_Mid_Anterior",
    "FS_CC_Anterior": "CC_Anterior",
}
SURFACE = ["Thck", "ThckStd", "Area", "GrayVol", "NumVert", "MeanCurv", "GausCurv", "FoldInd", "CurvInd"]


@pytest.mark.parametrize("measure", ["Vol", "NVoxels", "Mean", "StdDev", "Min", "Max", "Range"])
def test_columns_of_the_hcp_are_labels_of_freesurfer(measure):
    for column, label in ASEG.items():
        assert region_key(f"{column}_{measure}") == region_key(label), column
    assert len({region_key(label) for label in ASEG.values()}) == len(ASEG), "and no two regions become one"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (
            ("left", "hippocampus"),
            ["FS_L_Hippo_Vol", "Left-Hippocampus", "Hippocampus_L", "Vol_Hippocampus_L", "lh hippocampus", "L Hippo"],
        ),
        (
            ("left", "bankssts"),
            ["lh_bankssts_thickness", "ctx-lh-bankssts", "lh.bankssts.volume", "bankssts_left"]
            + [f"FS_L_Bankssts_{measure}" for measure in SURFACE],
        ),
        (("left", "demogm12"), ["Demo GM 12 L", "FS_Demo_GM_12_L_Vol"]),
        (("right", "thalamus"), ["Right-Thalamus", "Vol_ThalamusProper_R", "Thalamus_R", "FS_R_ThalamusProper_Vol"]),
        (("right", "accumbens"), ["Right Accumbens", "Vol_AccumbensArea_R", "Right-Accumbens-area"]),
        (("right", "ventraldc"), ["Vol_VentralDC_R", "FS_R_VentDC_Vol"]),
        (("left", "inferiorlateralventricle"), ["Vol_InfLatVentricle_L", "FS_L_InfLatVent_Vol"]),
        (("both", "brainstem"), ["Brain-Stem", "Vol_BrainStem", "FS_BrainStem_Vol", "brain stem"]),
        (("left", "gandsfrontomargin"), ["L G_and_S_frontomargin", "lh_G_and_S_frontomargin_thickness"]),
        (("right", "supramarginal"), ["SupraMarginal_R", "rh_supramarginal_area", "FS_R_Supramarginal_Thck"]),
    ],
)
def test_spellings_of_one_region(key, names):
    assert {name: region_key(name) for name in names} == dict.fromkeys(names, key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("FS_L_Hippo_Vol", "FS_R_Hippo_Vol"),
        ("Hippocampus_L", "Hippocampus"),
        ("lh_bankssts_thickness", "wm-lh-bankssts"),  # the white matter below
        ("Demo GM 12 L", "Demo WM 12 L"),
        ("Demo GM 12 L", "Demo GM 1 2 L"),
        ("ParaHippocampal_L", "Hippocampus_L"),
        ("FS_L_Superiortemporal_Thck", "FS_L_Superiorfrontal_Thck"),
        ("Area 44 L", "44 L"),  # only behind a name is a measure what was measured
        ("lh_cuneus_thickness", "lh_precuneus_thickness"),
        ("Vol_SupplementaryMotorCortex_L", "Supp_Motor_Area_L"),  # known to be the same, yet not by the name
    ],
)
def test_names_that_are_merely_alike_stay_different(one, other):
    assert region_key(one) != region_key(other)


def test_a_name_of_nothing_but_measures_keeps_a_word():
    assert region_key("FS_Vol") == ("both", "vol")
    assert region_key("Area") == ("both", "area")
    assert region_key("L") == ("left", "")
    assert region_key(17) == ("both", "17")


def test_the_phantoms_volumes_are_its_parcels():
    names = [f"Demo {tissue} {i:02d} {side}" for tissue in ("GM", "WM") for i in range(1, 51) for side in "LR"]
    keys = [region_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert [region_key(f"FS_{name.replace(' ', '_')}_Vol") for name in names] == keys
